"""Temporaries that say whose they are: what a killed process left goes with the next start."""

from __future__ import annotations

import os
import re
import shutil
import socket
from pathlib import Path

import psutil

# File systems end names at 255 bytes; what stands for the target leaves room for the rest.
LONGEST_STEM = 48
OWNER = re.compile(r"(?P<host>[^.]*)-(?P<pid>\d+)\.[^.]*")


def owned_prefix(target: Path) -> str:
    """Return how a temporary of this process is called that is to become ``target``."""
    return f"{_stem(target)}{_host()}-{os.getpid()}."


def remove_left_behind(target: Path, suffix: str = "", *, is_alone: bool = False) -> None:
    """Remove what processes of this machine that are gone have begun for ``target``.

    Args:
        target: The file or folder to make.
        suffix: How the temporaries end.
        is_alone: Whether the caller keeps all others out. A process that is being killed lets go of
            a lock before it is gone, and is not waited for then.
    """
    stem = _stem(target)
    for left in target.parent.glob(f"{_escaped(stem)}*{suffix}"):
        owner = OWNER.fullmatch(left.name.removeprefix(stem).removesuffix(suffix))
        if owner and owner["host"] == _host() and (is_alone or not _is_running(int(owner["pid"]))):
            _remove(left)


def _is_running(pid: int) -> bool:
    """Whether a process can still write: one that was killed exists until it is waited for."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _stem(target: Path) -> str:
    return f".{target.name[:LONGEST_STEM]}."


def _escaped(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


def _host() -> str:
    return re.sub(r"\W", "_", socket.gethostname())[:16]

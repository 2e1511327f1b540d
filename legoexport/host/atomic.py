"""Write files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil

from legoexport.errors import UsageError
from legoexport.host.outputs import check_regular, real_path
from legoexport.signals import held, undone

SUFFIX = ".partial"
# File systems end names at 255 bytes; what stands for the target leaves room for the rest.
LONGEST_STEM = 48
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
OWNER = re.compile(r"\.(?P<host>[^.]*)-(?P<pid>\d+)\.[^.]*" + re.escape(SUFFIX) + "$")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Let the block write a file beside ``path``, and put it in the place of ``path`` in one step.

    A symbolic link stays, and what it points to is written. Files that a killed process left beside
    it are removed.

    Args:
        path: The file to write.

    Yields:
        An empty file in the same folder; it is gone after the block, whatever happens.

    Raises:
        UsageError: The folder does not exist or cannot be written, ``path`` is a device, FIFO,
            socket or folder, or the block raised an ``OSError``; an existing file is untouched.
    """
    check_regular(path)
    target = real_path(path)
    prefix = f".{target.name[:LONGEST_STEM]}."
    try:
        _remove_left_behind(target.parent, prefix)
        with _temporary(target, prefix) as temporary:
            yield temporary
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.chmod(_mode(target))
            temporary.replace(target)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}", received=error.strerror, next_step=_next_step(error, target)
        ) from None


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one step.

    Raises:
        UsageError: The folder does not exist or cannot be written; an existing file is untouched.
    """
    with writing(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def _temporary(target: Path, prefix: str) -> Iterator[Path]:
    with contextlib.ExitStack() as stack:
        with held():
            handle, name = tempfile.mkstemp(
                SUFFIX, f"{prefix}{_host()}-{os.getpid()}.", target.parent
            )
            temporary = Path(name)
            remove = partial(temporary.unlink, missing_ok=True)
            stack.enter_context(undone(remove))
            stack.callback(remove)
        os.close(handle)
        yield temporary


def _next_step(error: OSError, target: Path) -> str:
    if error.errno in NO_ROOM:
        return f"make room in {target.parent}, or choose another folder"
    return f"choose a folder that can be written instead of {target.parent}"


def _remove_left_behind(folder: Path, prefix: str) -> None:
    """Remove temporaries of processes of this machine that have ended without a word."""
    for left in folder.glob(f"{_escaped(prefix)}*{SUFFIX}"):
        owner = OWNER.search(left.name)
        if owner and owner["host"] == _host() and not psutil.pid_exists(int(owner["pid"])):
            left.unlink(missing_ok=True)


def _escaped(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


def _host() -> str:
    return re.sub(r"\W", "_", socket.gethostname())[:16]


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced, else those of any new file."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(target.stat().st_mode)
    return 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

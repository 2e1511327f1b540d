"""Install onnxruntime-web once, into a cache folder, exactly as package-lock.json has it."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from legoexport.errors import UsageError
from legoexport.runtimes.web.node import find_tool

VERSION = "1.16.3"
PACKAGE_FILES = tuple(Path(__file__).with_name(n) for n in ("package.json", "package-lock.json"))
# No package that we use needs its scripts, so none of them gets to run.
ARGUMENTS = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")
MESSAGE_LINES = 6


def installed() -> Path:
    """Return the folder that holds ``node_modules``; install it first if it is not there.

    Raises:
        UsageError: npm is missing or fails, or the cache cannot be written.
    """
    folder = cache_folder()
    if not folder.is_dir():
        _install(folder)
    return folder


def cache_folder() -> Path:
    """Where it is, or will be: another lock file makes another folder."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    digest = hashlib.sha256(PACKAGE_FILES[1].read_bytes()).hexdigest()[:8]
    return Path(root, "legoexport", f"onnxruntime-web-{VERSION}-{digest}")


def _install(folder: Path) -> None:
    npm = find_tool("npm")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as name:
            made = Path(name, "package")
            made.mkdir()
            for file in PACKAGE_FILES:
                shutil.copy(file, made)
            _run_npm(npm, made)
            _put_in_place(made, folder)
    except OSError as error:
        raise UsageError(
            f"cannot write {folder.parent}",
            received=error.strerror,
            next_step="set XDG_CACHE_HOME to a writable folder",
        ) from None


def _run_npm(npm: str, folder: Path) -> None:
    command = [npm, *ARGUMENTS]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise UsageError(
            f"npm does not install onnxruntime-web {VERSION}",
            received="\n".join(done.stderr.strip().splitlines()[-MESSAGE_LINES:]),
            next_step="check that npm reaches its registry, then try again",
        )


def _put_in_place(made: Path, folder: Path) -> None:
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process has just installed the same
            raise

"""One process at a time, on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from legoexport.errors import UsageError
from legoexport.signals import undone

MODE = 0o666


@contextlib.contextmanager
def alone(path: Path, next_step: str) -> Iterator[None]:
    """Keep every other process that names the same file out of the block; wait for the one inside.

    The system lets go of the file where a process was killed inside.

    Args:
        path: A file that is there during the block. Its folder exists.
        next_step: The next step that the error names.

    Raises:
        UsageError: The file cannot be made or locked.
    """
    try:
        handle = _locked(path)
    except OSError as error:
        raise UsageError(
            f"cannot write in {path.parent}", received=error.strerror, next_step=next_step
        ) from None
    remove = partial(path.unlink, missing_ok=True)
    try:
        with undone(remove):
            yield
    finally:
        remove()
        os.close(handle)


def _locked(path: Path) -> int:
    """Open and lock the file at ``path``, not one that was removed while we waited for it."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(handle)):
                    return handle
        except OSError:
            os.close(handle)
            raise
        os.close(handle)

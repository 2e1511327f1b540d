"""Write files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from legoexport.errors import UsageError
from legoexport.host.left_behind import owned_prefix, remove_left_behind
from legoexport.host.outputs import check_regular, real_path
from legoexport.signals import held, undone

SUFFIX = ".partial"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
    try:
        remove_left_behind(target, SUFFIX)
        with _temporary(target) as temporary:
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
def _temporary(target: Path) -> Iterator[Path]:
    with contextlib.ExitStack() as stack:
        with held():
            handle, name = tempfile.mkstemp(SUFFIX, owned_prefix(target), target.parent)
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


def _mode(target: Path) -> int:
    """The permissions of the file that is replaced, else those of any new file."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(target.stat().st_mode)
    return 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

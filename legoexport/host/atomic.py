"""Write files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from legoexport.errors import UsageError


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Let the block write a file beside ``path``, and put it in the place of ``path`` in one step.

    Args:
        path: The file to write.

    Yields:
        An empty file in the same folder; it is gone after the block, whatever happens.

    Raises:
        UsageError: The folder does not exist or cannot be written, or the block raised an
            ``OSError``; an existing file is untouched.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UsageError(
            f"cannot write {path}", received=error.strerror, next_step="choose a writable folder"
        ) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}", received=error.strerror) from None
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one step.

    Raises:
        UsageError: The folder does not exist or cannot be written; an existing file is untouched.
    """
    with writing(path) as temporary:
        temporary.write_bytes(content)


def check_writable(path: Path | None) -> None:
    """Check before minutes of work that the result can be written; None means nothing to write.

    Raises:
        UsageError: ``path`` is a folder, or its own folder does not exist.
    """
    if path is not None and (path.is_dir() or not path.resolve().parent.is_dir()):
        raise UsageError(
            f"cannot write {path}",
            received="a folder" if path.is_dir() else "its folder does not exist",
            legal="a file in an existing folder",
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

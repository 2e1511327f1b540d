"""Write files so that a reader sees the old content or the new, never half of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from legoexport.errors import UsageError


def write_bytes(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one step.

    Raises:
        UsageError: The folder does not exist or cannot be written; an existing file is untouched.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise UsageError(
            f"cannot write {path}", received=error.strerror, next_step="choose a writable folder"
        ) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        Path(temporary).replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {path}", received=error.strerror) from None
    finally:
        Path(temporary).unlink(missing_ok=True)


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

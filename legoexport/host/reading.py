"""A file of the user's, read whole."""

from __future__ import annotations

from pathlib import Path

from legoexport.errors import UsageError


def read_bytes(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}", received=error.strerror) from None

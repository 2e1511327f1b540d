"""A file of the user's, read whole."""

from __future__ import annotations

import zipfile
import zlib
from lzma import LZMAError
from pathlib import Path
from tokenize import TokenError

from legoexport.errors import UsageError

# What zipfile, its decompressors and numpy raise on damaged or crafted archives and arrays.
UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, RuntimeError, TypeError, ArithmeticError),
    *(MemoryError, SyntaxError, TokenError, zipfile.BadZipFile, zlib.error, LZMAError),
)


def read_bytes(path: Path) -> bytes:
    """Return what a file holds.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}", received=error.strerror) from None

"""A file that goes to standard output: alone, whole, and all that is said goes to stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

from legoexport.errors import UsageError
from legoexport.host.atomic import write_bytes
from legoexport.host.outputs import is_standard_output


@contextlib.contextmanager
def writer_of(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Give the function that writes ``path``, an output that ``check_outputs`` let pass.

    Where it is ``-``, everything that is printed inside of the block goes to stderr.
    """
    if not is_standard_output(path):
        yield partial(write_bytes, path)
        return
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        yield lambda content: _write_through(stdout, content)


def _write_through(stdout: TextIO, content: bytes) -> None:
    left = memoryview(content)
    try:
        while left:  # without a buffer, as PYTHONUNBUFFERED has it, less than all may be taken
            left = left[stdout.buffer.write(left) :]
        stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is left in the buffer must not fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        raise UsageError(
            "cannot write to standard output",
            received=error.strerror,
            next_step="make room where it goes to, or name a file",
        ) from None

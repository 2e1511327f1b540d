"""Standard output: what fails there is told, and a file that goes there is alone and whole."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TextIO, cast

from legoexport.errors import UsageError
from legoexport.host.atomic import write_bytes
from legoexport.host.outputs import is_standard_output

# What stands in for stdin, stdout and stderr: from a closed one nothing comes, to a closed stdout
# nothing can be written, and what is said to a closed stderr is lost.
STAND_INS = (os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)
WHOLE = "legoexport.whole"


def _whole(error: UnicodeError) -> tuple[bytes, int]:
    """Give what an encoding lacks as UTF-8, and bytes of a file's name as they are in it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return error.object[error.start : error.end].encode(errors="surrogateescape"), error.end


codecs.register_error(WHOLE, _whole)


class ToldOutput:
    """Standard output, which explains why it cannot be written to.

    Args:
        stream: The stream that does all else.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write to the stream.

        Raises:
            UsageError: It takes no more.
        """
        with _failure_told(self._stream):
            return self._stream.write(text)

    def flush(self) -> None:
        """Flush the stream.

        Raises:
            UsageError: It takes no more.
        """
        with _failure_told(self._stream):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def told_output() -> contextlib.AbstractContextManager[TextIO]:
    """Let prints inside of the block fail as a ``UsageError`` where standard output takes no more.

    A reader that went away is a ``BrokenPipeError`` as ever. Letters that the locale does not know,
    as in the name of a class or of a file, are UTF-8.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=WHOLE)
    return contextlib.redirect_stdout(cast("TextIO", ToldOutput(sys.stdout)))


def fill_closed_streams() -> None:
    """Give standard streams that are closed a stand-in, in this process and its children.

    Else the next file that is opened takes the place, and gets what is printed.
    """
    for number, flags in enumerate(STAND_INS):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest number that is free
            os.set_inheritable(number, True)  # noqa: FBT003
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - for good
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115 - for good


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
    with _failure_told(stdout):
        while left:  # without a buffer, as PYTHONUNBUFFERED has it, less than all may be taken
            left = left[stdout.buffer.write(left) :]
        stdout.flush()


@contextlib.contextmanager
def _failure_told(stdout: TextIO) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # What is left in the buffer must not fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise UsageError(
            "cannot write to standard output",
            received=error.strerror,
            next_step="make room where it goes to, or name a file",
        ) from None

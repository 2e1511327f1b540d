"""SIGINT and SIGTERM end a command at once, and what it was making goes with it.

An exception raised by a signal would come up between any two lines: in an import that takes it for
a missing module, in a destructor that prints and swallows it. So the handler of the command line
undoes what is under way itself, and ends the process. In Python, where nobody installs it, signals
do what they do elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import psutil

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
# What progress on a terminal may have left: half a line, and no cursor.
TIDY_TERMINAL = b"\r\x1b[K\x1b[?25h"
STDERR = 2


class _State:
    """What is under way in this process."""

    def __init__(self) -> None:
        self.undo: dict[object, Callable[[], object]] = {}
        self.holds_count = 0
        self.pending: int | None = None

    def forget(self) -> None:
        """Begin anew: a fork owns nothing of what its parent makes."""
        self.__init__()  # type: ignore[misc]


_state = _State()
os.register_at_fork(after_in_child=_state.forget)


def exit_code(number: int) -> int:
    """Return the exit code of what a signal ended, as shells have it."""
    return 128 + number


def end_cleanly() -> None:
    """Let SIGINT and SIGTERM end this process with all that is under way undone.

    A signal that is ignored, as a shell has it for jobs in the background, stays ignored.
    """
    for number in WORDS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _handle)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Let a signal wait until the block is over; for steps that belong together and are short."""
    _state.holds_count += 1
    try:
        yield
    finally:
        _state.holds_count -= 1
        if _state.pending is not None and not _state.holds_count:
            _end(_state.pending)


@contextlib.contextmanager
def undone(undo: Callable[[], object]) -> Iterator[None]:
    """Have ``undo`` called if a signal ends the process inside the block."""
    key = object()
    _state.undo[key] = undo
    try:
        yield
    finally:
        _state.undo.pop(key, None)


@contextlib.contextmanager
def temporary_folder(prefix: str = "legoexport-", folder: Path | None = None) -> Iterator[Path]:
    """Make a folder that is gone after the block, also if a signal ends the process.

    Args:
        prefix: How its name begins.
        folder: Where to make it; by default where the system keeps temporary files.
    """
    with contextlib.ExitStack() as stack:
        with held():
            made = tempfile.TemporaryDirectory(
                prefix=prefix, dir=folder, ignore_cleanup_errors=True
            )
            stack.enter_context(undone(lambda: shutil.rmtree(made.name, ignore_errors=True)))
        yield Path(stack.enter_context(made))


def _handle(number: int, frame: FrameType | None) -> None:
    del frame
    if _state.holds_count:
        _state.pending = number
    else:
        _end(number)


def _end(number: int) -> None:
    for other in WORDS:
        signal.signal(other, signal.SIG_IGN)  # a second wish must not cut the tidying short
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            child.kill()
    for undo in reversed(_state.undo.values()):
        with contextlib.suppress(Exception):
            undo()
    line = f"{WORDS[signal.Signals(number)]}\n".encode()
    with contextlib.suppress(OSError):
        os.write(STDERR, (TIDY_TERMINAL if os.isatty(STDERR) else b"") + line)
    os._exit(exit_code(number))

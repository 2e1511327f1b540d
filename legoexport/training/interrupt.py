"""Ctrl-C stops a training between two steps, and so does SIGTERM on the command line."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Self

from legoexport.signals import exit_code

# torchrun passes a Ctrl-C on to processes that the terminal has told already.
SAME_WISH_SECONDS = 5.0


class Interrupt:
    """Catches SIGINT while its block runs, and SIGTERM where it would not just kill the process.

    Another signal, seconds later, does what it would have done without the block.
    """

    def __init__(self) -> None:
        self._asked_at: float | None = None
        self._number = int(signal.SIGINT)

    def __enter__(self) -> Self:
        caught = [signal.SIGINT]
        if callable(signal.getsignal(signal.SIGTERM)):
            caught.append(signal.SIGTERM)
        self._before = {number: signal.signal(number, self._catch) for number in caught}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """The exit code of a process that stops as asked."""
        return exit_code(self._number)

    def was_asked(self) -> bool:
        """Whether the user asked to stop."""
        return self._asked_at is not None

    def _catch(self, number: int, frame: FrameType | None) -> None:
        del frame
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at, self._number = now, number
        elif now - self._asked_at > SAME_WISH_SECONDS:
            signal.signal(number, self._before[signal.Signals(number)])
            signal.raise_signal(number)

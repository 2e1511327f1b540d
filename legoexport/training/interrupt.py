"""Ctrl-C stops a training between two steps."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Self

# torchrun passes a Ctrl-C on to processes that the terminal has told already.
SAME_WISH_SECONDS = 5.0


class Interrupt:
    """Catches SIGINT while its block runs; another one, seconds later, ends the block at once."""

    def __init__(self) -> None:
        self._asked_at: float | None = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._catch)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        now = time.monotonic()
        if self._asked_at is not None and now - self._asked_at > SAME_WISH_SECONDS:
            raise KeyboardInterrupt
        self._asked_at = self._asked_at or now

    def was_asked(self) -> bool:
        """Whether the user asked to stop."""
        return self._asked_at is not None

"""What a training shows while it runs: a line that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rich.console import Console
from rich.status import Status

from legoexport.host import atomic
from legoexport.training.recipe import Recipe
from legoexport.training.results import EpochResult

# Seconds between two plain lines within an epoch; a moving line is redrawn twice a second.
PLAIN_SECONDS = 60.0
MOVING_SECONDS = 0.5
MINUTE = 60


class EpochProgress:
    """Shows where a training stands.

    Args:
        recipe: Gives the number of epochs.
        images_count: Training pictures.
        console: Where to write; a terminal gets a moving line.
    """

    def __init__(self, recipe: Recipe, images_count: int, console: Console) -> None:
        self._recipe, self._images_count, self._console = recipe, images_count, console
        self._status: Status | None = console.status("") if console.is_terminal else None
        self._interval = MOVING_SECONDS if console.is_terminal else PLAIN_SECONDS
        self._shown_at = time.monotonic()
        self._accuracy = ""

    def __enter__(self) -> EpochProgress:
        if self._status:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status:
            self._status.stop()

    def is_due(self) -> bool:
        """Whether `step` would show anything, so that computing its numbers is worth it."""
        return time.monotonic() - self._shown_at >= self._interval

    def step(self, epoch: int, shown_count: int, mean_loss: float, seconds: float) -> None:
        """Show how far an epoch is, if the last time is long enough ago.

        Args:
            epoch: Number of the epoch, from 1.
            shown_count: Pictures of this epoch that were shown.
            mean_loss: Mean loss over them.
            seconds: Time that they took.
        """
        if not self.is_due():
            return
        self._shown_at = time.monotonic()
        speed = shown_count / seconds
        rest = (self._recipe.epochs - epoch) * self._images_count
        left = format_seconds((self._images_count - shown_count + rest) / speed)
        line = (
            f"epoch {epoch}/{self._recipe.epochs}  {shown_count / self._images_count:4.0%}"
            f"  loss {mean_loss:.3f}{self._accuracy}  {speed:.0f} images/s  {left} left"
        )
        if self._status:
            self._status.update(line)
        else:
            self.say(line)

    def epoch(self, result: EpochResult) -> None:
        """Show what an epoch gave."""
        self._accuracy = f"  accuracy {result.test_accuracy:.2%}"
        rest = (self._recipe.epochs - result.epoch) * result.training_seconds
        self.say(
            f"epoch {result.epoch}/{self._recipe.epochs}  loss {result.mean_loss:.3f}"
            f"{self._accuracy}  masks changed {result.changed_choices_count}"
            f"  {result.images_per_second:.0f} images/s  {format_seconds(rest)} left"
        )

    def say(self, line: str) -> None:
        """Write a line that stays."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def write_csv(path: Path, results: Sequence[EpochResult]) -> None:
    """Rewrite all rows, one for each finished epoch, so that resuming leaves no stray ones.

    Raises:
        UsageError: The file cannot be written.
    """
    names = [field.name for field in fields(EpochResult)]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(result, name) for name in names] for result in results)
    atomic.write_bytes(path, text.getvalue().encode())


def format_seconds(seconds: float) -> str:
    """Return a duration like ``2 h 05 min``, ``12 min`` or ``40 s``."""
    if seconds < MINUTE:
        return f"{seconds:.0f} s"
    minutes = round(seconds / MINUTE)
    return (
        f"{minutes // MINUTE} h {minutes % MINUTE:02} min"
        if minutes >= MINUTE
        else f"{minutes} min"
    )

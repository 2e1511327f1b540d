"""What a sweep needs of an engine that runs its workers, and what both engines of submitit share.

Submitit hands results back as pickles. They are not read: the folder of the sweep is the record.
"""

from __future__ import annotations

import importlib.util
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Protocol

from legoexport.errors import UsageError
from legoexport.sweep.grid import Cell

if TYPE_CHECKING:
    import submitit


class Job(Protocol):
    """A cell that was sent to a worker."""

    @property
    def name(self) -> str:
        """What the engine calls it."""

    @property
    def log(self) -> Path:
        """What the worker writes to stderr."""

    def is_over(self) -> bool:
        """Whether nothing more is to be expected of it, however it ended."""

    def stop(self) -> None:
        """Have the worker save its state and end."""


class Engine(Protocol):
    """What runs workers."""

    def submit(self, cell: Cell, place: int) -> Job:
        """Send a cell to a worker.

        Args:
            cell: The training.
            place: Which of the workers at work at the same time it is, from 0.

        Raises:
            UsageError: The engine does not take it.
        """


def check_installed() -> None:
    """Check that workers can be had.

    Raises:
        UsageError: Submitit is not installed.
    """
    if importlib.util.find_spec("submitit") is None:
        raise UsageError("workers need submitit", next_step="pip install 'legoexport[cluster]'")


def import_submitit() -> ModuleType:
    """Import submitit, and keep its messages off stdout, which belongs to the table."""
    import submitit  # noqa: PLC0415 - needs the extra [cluster]

    logging.getLogger("submitit").handlers.clear()
    return submitit


def is_over(job: submitit.Job[None]) -> bool:
    """Return whether a job has ended, and clear away what was handed over; its logs stay."""
    # Submitit takes a preempted job for one that comes back, which we have told SLURM not to do.
    over = job.done() or job.state.startswith("PREEMPTED")
    if over:
        job.paths.submitted_pickle.unlink(missing_ok=True)
        job.paths.result_pickle.unlink(missing_ok=True)
    return over


@contextmanager
def deaf_children() -> Iterator[None]:
    """Start processes that Ctrl-C on the terminal does not reach: the sweep tells them to stop."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

"""Hands the cells of a sweep to workers, and sends a cell again whose worker died."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from legoexport.errors import CheckFailed
from legoexport.host.progress import Progress
from legoexport.sweep.folder import Folder
from legoexport.sweep.grid import Cell
from legoexport.sweep.request import SweepRequest
from legoexport.sweep.run import begin
from legoexport.sweep.worker import error_path, stop_path
from legoexport.training.interrupt import Interrupt
from legoexport.training.loop import Interrupted

POLL_SECONDS = 1.0


class Job(Protocol):
    """A cell that was sent to a worker."""

    @property
    def name(self) -> str:
        """What the engine calls it."""

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
        """


@dataclass(frozen=True)
class Attempt:
    """A cell to train.

    Attributes:
        cell: The training.
        number: Where it stands in the sweep, from 1.
        deaths_count: Workers that died before it was finished.
    """

    cell: Cell
    number: int
    deaths_count: int = 0


def train_with_workers(
    request: SweepRequest,
    engine: Engine,
    workers_count: int,
    retries_count: int,
    tell: Progress = lambda _: None,
) -> None:
    """Train every cell that is not finished, several at a time.

    What a cell gave is read from the folder alone. A cell that fails by its own error does not keep
    the others from being trained.

    Args:
        request: The sweep.
        engine: What runs the workers.
        workers_count: Cells that are trained at the same time.
        retries_count: How often a cell is sent again whose worker died. One whose worker stopped
            and saved is always sent again, as it gets further each time.
        tell: Called with a line for each cell that is sent, is finished, or fails.

    Raises:
        UsageError: The folder or the request is refused, or the engine takes no cell.
        CheckFailed: Some cells failed; all others are trained.
        Interrupted: The user stopped it; the workers have been told to save and stop.
    """
    folder = begin(request)
    with Interrupt() as interrupt:
        crew = _Crew(request, folder, engine, retries_count, tell)
        with crew.stopped_on_error():
            while crew.has_work:
                if interrupt.was_asked():
                    raise Interrupted(interrupt.exit_code)
                crew.advance(workers_count)
    crew.hold_complete()


class _Crew:
    """Cells that wait, cells at work by the place of their worker, and cells that failed."""

    def __init__(
        self,
        request: SweepRequest,
        folder: Folder,
        engine: Engine,
        retries_count: int,
        tell: Progress,
    ) -> None:
        self.request, self.folder, self.engine, self.tell = request, folder, engine, tell
        self.retries_count = retries_count
        self.cells = request.grid.cells
        numbered = enumerate(self.cells, 1)
        self.waiting = deque(Attempt(c, n) for n, c in numbered if folder.result(c) is None)
        self.at_work: dict[int, tuple[Attempt, Job]] = {}
        self.failed: list[str] = []

    @property
    def has_work(self) -> bool:
        """Whether anything is left to wait for."""
        return bool(self.waiting or self.at_work)

    @contextmanager
    def stopped_on_error(self) -> Iterator[None]:
        """Leave no worker behind if the block is left by an error, a wish to stop included."""
        try:
            yield
        except BaseException:
            jobs = [job for _, job in self.at_work.values()]
            for job in jobs:
                job.stop()
            while not all(job.is_over() for job in jobs):
                time.sleep(POLL_SECONDS)
            raise

    def advance(self, workers_count: int) -> None:
        """Take in what has ended, send what there is room for, and wait a moment."""
        for place, (attempt, job) in [*self.at_work.items()]:
            if job.is_over():
                del self.at_work[place]
                self._take_in(attempt, job)
        for place in range(workers_count):
            if self.waiting and place not in self.at_work:
                self._send(self.waiting.popleft(), place)
        if self.at_work:
            time.sleep(POLL_SECONDS)

    def hold_complete(self) -> None:
        """Check that every cell is trained."""
        if self.failed:
            raise CheckFailed(
                f"{len(self.failed)} of {len(self.cells)} cells were not trained",
                received=", ".join(self.failed),
                next_step="mend what is said above; the same command trains what is missing",
            )

    def _send(self, attempt: Attempt, place: int) -> None:
        for note in (error_path, stop_path):
            note(self.request, attempt.cell).unlink(missing_ok=True)
        job = self.engine.submit(attempt.cell, place)
        self.at_work[place] = attempt, job
        name = f"{attempt.cell.name}, {job.name}"
        self.tell(f"training {attempt.number} of {len(self.cells)}: {name}")

    def _take_in(self, attempt: Attempt, job: Job) -> None:
        cell = attempt.cell
        result, error = self.folder.result(cell), error_path(self.request, cell)
        if result is not None:
            self.tell(f"trained {cell.name}: {result.accuracy:.2%} of held-out pictures")
        elif error.exists():
            self._fail(cell, error.read_text())
        elif stop_path(self.request, cell).exists():
            self.waiting.appendleft(attempt)
            self.tell(f"{job.name} stopped and saved {cell.name}, which goes on")
        else:
            self._count_death(attempt, job)

    def _count_death(self, attempt: Attempt, job: Job) -> None:
        cell, count = attempt.cell, attempt.deaths_count + 1
        if count > self.retries_count:
            folder = error_path(self.request, cell).parent
            self._fail(cell, f"{count} workers died, last {job.name}; their logs are in {folder}")
            return
        self.waiting.appendleft(replace(attempt, deaths_count=count))
        retry = f"retry {count} of {self.retries_count}"
        self.tell(f"{job.name} died before {cell.name} was done; {retry}")

    def _fail(self, cell: Cell, why: str) -> None:
        self.failed.append(cell.name)
        self.tell(f"failed {cell.name}: {why}")

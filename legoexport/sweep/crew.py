"""Hands the cells of a sweep to workers, and sends a cell again whose worker died."""

from __future__ import annotations

import time
from collections import Counter, deque

from legoexport.errors import CheckFailed
from legoexport.host.progress import Progress
from legoexport.sweep.engine import Engine, Job
from legoexport.sweep.folder import Folder
from legoexport.sweep.grid import Cell
from legoexport.sweep.request import SweepRequest
from legoexport.sweep.worker import error_path, stop_path
from legoexport.training.interrupt import Interrupt
from legoexport.training.loop import Interrupted

POLL_SECONDS = 1.0


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
        request: The sweep; its folder is there.
        engine: What runs the workers.
        workers_count: Cells that are trained at the same time.
        retries_count: How often a cell is sent again whose worker died. One whose worker stopped
            and saved is always sent again, as it gets further each time.
        tell: Called with a line for each cell that is sent, is finished, or fails.

    Raises:
        UsageError: The engine takes no cell.
        CheckFailed: Some cells failed; all others are trained.
        Interrupted: The user stopped it; the workers have been told to save and stop.
    """
    crew = _Crew(request, engine, retries_count, tell)
    with Interrupt() as interrupt:
        try:
            while crew.has_work:
                crew.advance(workers_count)
                if interrupt.was_asked():
                    raise Interrupted(interrupt.exit_code)
        except BaseException:
            crew.stop()
            raise
    crew.hold_complete()


class _Crew:
    """Cells that wait, cells at work by the place of their worker, and cells that failed."""

    def __init__(
        self, request: SweepRequest, engine: Engine, retries_count: int, tell: Progress
    ) -> None:
        self.request, self.engine, self.tell = request, engine, tell
        self.retries_count = retries_count
        self.folder, self.cells = Folder(request.out), request.grid.cells
        self.waiting = deque(cell for cell in self.cells if self.folder.result(cell) is None)
        self.at_work: dict[int, tuple[Cell, Job]] = {}
        self.deaths: Counter[Cell] = Counter()
        self.failed: list[str] = []

    @property
    def has_work(self) -> bool:
        """Whether anything is left to wait for."""
        return bool(self.waiting or self.at_work)

    def advance(self, workers_count: int) -> None:
        """Send what there is room for, wait a moment, and take in what has ended."""
        for place in range(workers_count):
            if self.waiting and place not in self.at_work:
                self._send(self.waiting.popleft(), place)
        time.sleep(POLL_SECONDS)
        for place, (cell, job) in [*self.at_work.items()]:
            if job.is_over():
                del self.at_work[place]
                self._take_in(cell, job)

    def stop(self) -> None:
        """Leave no worker behind."""
        jobs = [job for _, job in self.at_work.values()]
        for job in jobs:
            job.stop()
        while not all(job.is_over() for job in jobs):
            time.sleep(POLL_SECONDS)

    def hold_complete(self) -> None:
        """Check that every cell is trained."""
        if self.failed:
            raise CheckFailed(
                f"{len(self.failed)} of {len(self.cells)} cells were not trained",
                received=", ".join(self.failed),
                next_step="mend what is said above; the same command trains what is missing",
            )

    def _send(self, cell: Cell, place: int) -> None:
        for note in (error_path, stop_path):
            note(self.request, cell).unlink(missing_ok=True)
        job = self.engine.submit(cell, place)
        self.at_work[place] = cell, job
        number = self.cells.index(cell) + 1
        self.tell(f"training {number} of {len(self.cells)}: {cell.name}, {job.name}")

    def _take_in(self, cell: Cell, job: Job) -> None:
        result, error = self.folder.result(cell), error_path(self.request, cell)
        if result is not None:
            self.tell(f"trained {cell.name}: {result.accuracy:.2%} of held-out pictures")
        elif error.exists():
            self._fail(cell, error.read_bytes().decode())
        elif stop_path(self.request, cell).exists():
            self.waiting.appendleft(cell)
            self.tell(f"{job.name} stopped and saved {cell.name}, which goes on")
        else:
            self._count_death(cell, job)

    def _count_death(self, cell: Cell, job: Job) -> None:
        self.deaths[cell] += 1
        count = self.deaths[cell]
        if count > self.retries_count:
            self._fail(cell, f"its worker died, attempt {count} of {count}; its log is {job.log}")
            return
        self.waiting.appendleft(cell)
        retry = f"retry {count} of {self.retries_count}"
        self.tell(f"{job.name} died before {cell.name} was done; {retry}")

    def _fail(self, cell: Cell, why: str) -> None:
        self.failed.append(cell.name)
        self.tell(f"failed {cell.name}: {why}")

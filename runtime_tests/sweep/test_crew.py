"""Cells handed to workers that die, stop and fail in every order, without any process."""

from __future__ import annotations

import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.errors import CheckFailed, UsageError
from legoexport.sweep import crew
from legoexport.sweep.crew import train_with_workers
from legoexport.sweep.folder import CellResult, Folder
from legoexport.sweep.grid import Cell, Grid
from legoexport.sweep.request import SweepRequest
from legoexport.sweep.worker import error_path, jobs_folder, stop_path
from legoexport.training.loop import Interrupted
from legoexport.training.recipe import Recipe

GRID = Grid((2, 4), (0.5,), (True,), (0, 1))
DONE = CellResult(90, 100, 1.0)
RETRIES = 2
# How a worker may end, one after the other; after the last of a list the training is done.
ENDS = st.lists(st.sampled_from(["dies", "stops", "fails"]), max_size=5)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "POLL_SECONDS", 0.0)


def request(out: Path) -> SweepRequest:
    """A sweep whose folder is there."""
    asked = SweepRequest("lego_digits", "digits", out, GRID, Recipe())
    Folder(out).hold_budget(asked.budget)
    return asked


class Job:
    """Ends when it is asked for the second time."""

    def __init__(self, engine: Engine, cell: Cell, place: int) -> None:
        self.engine, self.cell, self.place = engine, cell, place
        self.name = f"job {len(engine.sent)}"
        self.log = Path(f"{len(engine.sent)}.err")
        self.asked_count, self.is_stopped = 0, False

    def is_over(self) -> bool:
        self.asked_count += 1
        if self.asked_count == 2:
            del self.engine.at_work[self.place]
            self.engine.end(self.cell)
        return self.asked_count >= 2

    def stop(self) -> None:
        self.is_stopped = True


class Engine:
    """Ends workers as it is told."""

    def __init__(self, request: SweepRequest, ends: dict[str, list[str]]) -> None:
        self.request, self.ends = request, {name: [*each] for name, each in ends.items()}
        self.sent: list[str] = []
        self.at_work: dict[int, str] = {}
        self.most_count = 0
        self.jobs: list[Job] = []

    def submit(self, cell: Cell, place: int) -> Job:
        jobs_folder(self.request).mkdir(exist_ok=True)
        assert cell.name not in self.at_work.values()
        assert place not in self.at_work
        self.at_work[place] = cell.name
        self.most_count = max(self.most_count, len(self.at_work))
        self.sent.append(cell.name)
        self.jobs.append(Job(self, cell, place))
        return self.jobs[-1]

    def end(self, cell: Cell) -> None:
        ends = self.ends.get(cell.name)
        end = ends.pop(0) if ends else "done"
        if end == "done":
            Folder(self.request.out).write_result(cell, DONE)
        elif end == "stops":
            stop_path(self.request, cell).touch()
        elif end == "fails":
            error_path(self.request, cell).write_text("bad pictures")


def expected(ends: list[str]) -> tuple[bool, int]:
    """Whether a cell is trained, and by how many workers, written from the rules."""
    deaths = 0
    for count, end in enumerate(ends, 1):
        deaths += end == "dies"
        if end == "fails" or deaths > RETRIES:
            return False, count
    return True, len(ends) + 1


@settings(max_examples=25)  # each writes files
@given(st.lists(ENDS, min_size=len(GRID.cells), max_size=len(GRID.cells)), st.integers(1, 9))
def test_workers_end_in_every_way(all_ends: list[list[str]], workers_count: int) -> None:
    ends = {cell.name: each for cell, each in zip(GRID.cells, all_ends, strict=True)}
    lost = {name for name, each in ends.items() if not expected(each)[0]}
    with tempfile.TemporaryDirectory() as name:
        asked = request(Path(name))
        engine = Engine(asked, ends)
        assert named_by(asked, engine, workers_count) == lost
        for cell in GRID.cells:
            trained, workers = expected(ends[cell.name])
            assert (Folder(asked.out).result(cell) == DONE) == trained
            assert engine.sent.count(cell.name) == workers
        assert engine.most_count == min(workers_count, len(GRID.cells))


def named_by(asked: SweepRequest, engine: Engine, workers_count: int) -> set[str]:
    """The cells that the error names."""
    try:
        train_with_workers(asked, engine, workers_count, RETRIES)
    except CheckFailed as error:
        first, second, _ = str(error).splitlines()
        names = second.removeprefix("  received: ").split(", ")
        assert first == f"{len(names)} of {len(GRID.cells)} cells were not trained"
        return set(names)
    return set()


def test_there_is_a_line_for_each_cell(tmp_path: Path) -> None:
    names = [cell.name for cell in GRID.cells]
    ends = {names[0]: ["dies", "stops"], names[1]: ["fails"], names[2]: ["dies"] * 3}
    engine = Engine(request(tmp_path), ends)
    for cell in GRID.cells[3:]:
        Folder(tmp_path).write_result(cell, DONE)
    said: list[str] = []
    with pytest.raises(CheckFailed, match=f"received: {names[1]}, {names[2]}\n"):
        train_with_workers(request(tmp_path), engine, 1, RETRIES, said.append)
    assert said == [
        f"training 1 of 6: {names[0]}, job 1",
        f"job 1 died before {names[0]} was done; retry 1 of 2",
        f"training 1 of 6: {names[0]}, job 2",
        f"job 2 stopped and saved {names[0]}, which goes on",
        f"training 1 of 6: {names[0]}, job 3",
        f"trained {names[0]}: 90.00% of held-out pictures",
        f"training 2 of 6: {names[1]}, job 4",
        f"failed {names[1]}: bad pictures",
        f"training 3 of 6: {names[2]}, job 5",
        f"job 5 died before {names[2]} was done; retry 1 of 2",
        f"training 3 of 6: {names[2]}, job 6",
        f"job 6 died before {names[2]} was done; retry 2 of 2",
        f"training 3 of 6: {names[2]}, job 7",
        f"failed {names[2]}: its worker died, attempt 3 of 3; its log is 7.err",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wish_to_stop_reaches_every_worker(number: signal.Signals, tmp_path: Path) -> None:
    class Told(Engine):
        def submit(self, cell: Cell, place: int) -> Job:
            signal.raise_signal(number)
            return super().submit(cell, place)

    engine = Told(request(tmp_path), {})
    # Where nobody catches SIGTERM, it kills at once.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with pytest.raises(Interrupted) as stopped:
            train_with_workers(request(tmp_path), engine, 2, RETRIES)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stopped.value.exit_code == 128 + number
    assert [job.is_stopped for job in engine.jobs] == [True, True]
    assert all(job.asked_count >= 2 for job in engine.jobs), "waited for"


def test_workers_are_stopped_where_no_more_can_be_sent(tmp_path: Path) -> None:
    class Full(Engine):
        def submit(self, cell: Cell, place: int) -> Job:
            if self.sent:
                raise UsageError("SLURM takes no job")
            return super().submit(cell, place)

    engine = Full(request(tmp_path), {})
    with pytest.raises(UsageError, match="takes no job"):
        train_with_workers(request(tmp_path), engine, 2, RETRIES)
    assert [job.is_stopped for job in engine.jobs] == [True]


def test_a_wish_to_stop_as_the_last_cell_ends_is_heard(tmp_path: Path) -> None:
    class Late(Engine):
        def end(self, cell: Cell) -> None:
            signal.raise_signal(signal.SIGINT)
            super().end(cell)

    with pytest.raises(Interrupted):
        train_with_workers(request(tmp_path), Late(request(tmp_path), {}), 9, RETRIES)
    assert all(Folder(tmp_path).result(cell) == DONE for cell in GRID.cells)

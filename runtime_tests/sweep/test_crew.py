"""Cells handed to workers that die, stop and fail in every order, without any process."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.errors import CheckFailed, UsageError
from legoexport.host.lock import alone
from legoexport.sweep import crew, run
from legoexport.sweep.crew import train_with_workers
from legoexport.sweep.folder import CellResult, Folder
from legoexport.sweep.grid import Cell, Grid
from legoexport.sweep.request import SweepRequest
from legoexport.sweep.worker import error_path, jobs_folder, stop_path, work
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


@pytest.fixture
def signals() -> Iterator[None]:
    """Put back what a worker catches."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def request(out: Path) -> SweepRequest:
    return SweepRequest("lego_digits", "digits", out, GRID, Recipe())


class Job:
    """Ends when it is asked for the second time."""

    def __init__(self, engine: Engine, cell: Cell, place: int) -> None:
        self.engine, self.cell, self.place = engine, cell, place
        self.name = f"job {len(engine.sent)}"
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
        Folder(asked.out).hold_budget(asked.budget)
        engine = Engine(asked, ends)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(crew, "begin", lambda _: Folder(asked.out))  # tested in test_run.py
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
    engine = Engine(request(tmp_path), {names[0]: ["dies", "stops"], names[1]: ["fails"]})
    Folder(tmp_path).hold_budget(request(tmp_path).budget)
    for cell in GRID.cells[2:]:
        Folder(tmp_path).write_result(cell, DONE)
    said: list[str] = []
    with pytest.raises(CheckFailed, match=f"received: {names[1]}"):
        train_with_workers(request(tmp_path), engine, 1, RETRIES, said.append)
    assert said == [
        "training 1 of 6: dense-seed0, job 1",
        "job 1 died before dense-seed0 was done; retry 1 of 2",
        "training 1 of 6: dense-seed0, job 2",
        "job 2 stopped and saved dense-seed0, which goes on",
        "training 1 of 6: dense-seed0, job 3",
        "trained dense-seed0: 90.00% of held-out pictures",
        f"training 2 of 6: {names[1]}, job 4",
        f"failed {names[1]}: bad pictures",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_wish_to_stop_reaches_every_worker(
    number: signal.Signals, tmp_path: Path, signals: None
) -> None:
    class Told(Engine):
        def submit(self, cell: Cell, place: int) -> Job:
            signal.raise_signal(number)
            return super().submit(cell, place)

    signal.signal(signal.SIGTERM, lambda *_: None)  # where nobody catches it, it kills at once
    engine = Told(request(tmp_path), {})
    with pytest.raises(Interrupted) as stopped:
        train_with_workers(request(tmp_path), engine, 2, RETRIES)
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


@pytest.mark.parametrize(
    ("raised", "left"),
    [
        (CheckFailed("the training diverged"), {"error.txt"}),
        (UsageError("bad pictures"), {"error.txt"}),
        (Interrupted(143), {"stopped"}),
        (MemoryError(), None),
        (None, set()),
    ],
    ids=repr,
)
def test_what_a_worker_leaves(
    raised: Exception | None,
    left: set[str] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    signals: None,
) -> None:
    def train(*_: object) -> CellResult:
        if raised:
            raise raised
        return DONE

    monkeypatch.setattr(run, "train_cell", train)
    asked, cell = request(tmp_path), GRID.cells[0]
    Folder(tmp_path).hold_budget(asked.budget)
    jobs_folder(asked).mkdir()
    with pytest.raises(MemoryError) if left is None else nullcontext():
        work(asked, cell)
    assert {path.name for path in jobs_folder(asked).iterdir()} == {
        f"{cell.name}.{suffix}" for suffix in left or ()
    }
    assert (Folder(tmp_path).result(cell) == DONE) == (raised is None)
    assert not Folder(tmp_path).lock(cell).exists()


def test_a_cell_is_trained_by_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, folder, cell = request(tmp_path), Folder(tmp_path), GRID.cells[0]
    trained: list[Cell] = []
    monkeypatch.setattr(run, "train_cell", lambda *_: trained.append(cell))
    folder.hold_budget(asked.budget)
    second = threading.Thread(target=run.finish_cell, args=(asked, folder, cell))
    with alone(folder.lock(cell), "wait"):
        second.start()
        second.join(0.2)
        assert second.is_alive()
        assert trained == []
        folder.write_result(cell, DONE)
    second.join()
    assert trained == []
    assert folder.result(cell) == DONE

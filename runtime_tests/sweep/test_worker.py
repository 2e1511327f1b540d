"""What a worker leaves in the folder, and what it leaves alone."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from legoexport.errors import CheckFailed, UsageError
from legoexport.host.lock import alone
from legoexport.sweep import worker
from legoexport.sweep.folder import CellResult, Folder
from legoexport.sweep.grid import Grid
from legoexport.sweep.request import SweepRequest
from legoexport.sweep.worker import jobs_folder, work
from legoexport.training.loop import Interrupted
from legoexport.training.recipe import Recipe

GRID = Grid((2,), (0.5,), (True,), (0,))
CELL = GRID.cells[0]
DONE = CellResult(90, 100, 1.0)


def request(out: Path) -> SweepRequest:
    return SweepRequest("lego_digits", "digits", out, GRID, Recipe())


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """Put back what a worker catches."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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
) -> None:
    def train(*_: object) -> CellResult:
        if raised:
            raise raised
        return DONE

    monkeypatch.setattr(worker, "train_cell", train)
    asked, cell = request(tmp_path), CELL
    Folder(tmp_path).hold_budget(asked.budget)
    jobs_folder(asked).mkdir()
    with pytest.raises(MemoryError) if left is None else nullcontext():
        work(asked, cell)
    assert {path.name for path in jobs_folder(asked).iterdir()} == {
        f"{cell.name}.{suffix}" for suffix in left or ()
    }
    assert (Folder(tmp_path).result(cell) == DONE) == (raised is None)
    assert not Folder(tmp_path).lock(cell).exists()


def test_a_cell_is_trained_by_one_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as where a sweep was killed and started again, and its old workers live on."""
    asked, folder = request(tmp_path), Folder(tmp_path)
    folder.hold_budget(asked.budget)
    monkeypatch.setattr(worker, "train_cell", lambda *_: pytest.fail("trained twice"))
    inside = threading.Event()

    def train_for_a_while() -> None:
        with alone(folder.lock(CELL), "wait"):
            inside.set()
            time.sleep(0.2)
            folder.write_result(CELL, DONE)

    other = threading.Thread(target=train_for_a_while)
    other.start()
    inside.wait()
    work(asked, CELL)
    assert folder.result(CELL) == DONE
    other.join()

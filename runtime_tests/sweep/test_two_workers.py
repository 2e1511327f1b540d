"""Two workers on this machine, one killed: the sweep ends as one in a single process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch

from legoexport.sweep.folder import Folder
from legoexport.sweep.grid import Grid
from legoexport.training.state import state_path
from runtime_tests.command_line import legoexport

pytestmark = pytest.mark.heavy
GRID = Grid((4,), (0.125,), (False,), (0,))
NAMES = [cell.name for cell in GRID.cells]
# Of 60 pictures: so many that a worker can be met in the middle.
EPOCHS = "20"
LONGEST_S = 240
STOPPED = "stopped and saved; the same command goes on\n"


def arguments(pictures: Path, out: Path) -> list[str]:
    grid = ["--o", "4", "--m", "0.125", "--coefficients", "off", "--widths", "none"]
    budget = ["--data", str(pictures), "--epochs", EPOCHS, "--threads", "1"]
    return ["sweep", *grid, *budget, "--train-only", "--out", str(out)]


class Sweep:
    """A sweep with two workers under way, in a session of its own as on a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], out: Path, log: Path) -> None:
        self.process, self.folder, self.log = process, Folder(out), log

    def first_worker(self) -> psutil.Process:
        """The process that trains the first cell, once it is at it."""
        line = re.compile(rf"training 1 of 2: {NAMES[0]}, process (\d+)")
        self.wait_for(lambda: line.search(self.log.read_text()) is not None)
        self.wait_for(self.folder.lock(GRID.cells[0]).exists)
        watcher = psutil.Process(int(line.findall(self.log.read_text())[-1]))
        assert watcher.ppid() == self.process.pid
        (worker,) = watcher.children()
        return worker

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + LONGEST_S
        while not condition():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end
            time.sleep(0.02)

    def ended(self) -> tuple[int, str]:
        code = self.process.wait(LONGEST_S)
        return code, self.log.read_text()


@contextmanager
def started(pictures: Path, out: Path) -> Iterator[Sweep]:
    log = out.with_name("log.txt")
    with log.open("w") as file:
        command = [sys.executable, "-m", "legoexport", *arguments(pictures, out), "--workers", "2"]
        process = subprocess.Popen(command, stderr=file, start_new_session=True)
    try:
        yield Sweep(process, out, log)
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
            process.kill()
            process.wait()


def test_workers_that_are_stopped_and_killed_change_nothing(pictures: Path, tmp_path: Path) -> None:
    plain, out = tmp_path / "plain", tmp_path / "workers"
    assert legoexport(*arguments(pictures, plain)) == 0

    with started(pictures, out) as sweep:  # Ctrl-C reaches all processes of a terminal
        sweep.wait_for(epochs_log(out).exists)
        workers = psutil.Process(sweep.process.pid).children(recursive=True)
        os.killpg(sweep.process.pid, signal.SIGINT)
        code, said = sweep.ended()
    assert code == 130, said
    assert said.endswith(STOPPED)
    assert workers
    assert not any(worker.is_running() for worker in workers)
    assert Folder(out).result(GRID.cells[0]) is None
    assert state_path(Folder(out).checkpoint(GRID.cells[0])).exists(), "saved"

    with started(pictures, out) as sweep:
        sweep.first_worker().kill()
        code, said = sweep.ended()
    assert code == 0, said
    assert f"died before {NAMES[0]} was done; retry 1 of 3" in said
    assert said.count(f"training 1 of 2: {NAMES[0]}") == 2
    assert cells(out) == cells(plain)
    for name in NAMES:
        ours, theirs = (torch.load(each / "cells" / f"{name}.pt") for each in (out, plain))
        for key, tensor in theirs["state_dict"].items():
            assert torch.equal(ours["state_dict"][key], tensor), (name, key)
    assert not list((out / "jobs").glob("*.pkl"))


def epochs_log(out: Path) -> Path:
    """Written after the first epoch of the first cell."""
    return out / "cells" / f"{NAMES[0]}.pt.csv"


def cells(out: Path) -> dict[str, object]:
    """The files of the cells, and what those of JSON hold besides what a clock says."""
    found: dict[str, object] = {path.name: None for path in (out / "cells").iterdir()}
    for path in (out / "cells").glob("*.json"):
        record = json.loads(path.read_text())
        del record["training_seconds"]
        found[path.name] = record
    return found

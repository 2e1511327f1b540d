"""The road from a dense network to LegoNets stops when its time is over, and goes on."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import teacher_road
from legoexport.training.loop import Interrupted


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    path = tmp_path / "pictures.npz"
    images, labels = rng.integers(0, 256, (64, 8, 8), np.uint8), np.arange(64) % 10
    np.savez(path, train_images=images, train_labels=labels, test_images=images, test_labels=labels)
    return path


@pytest.fixture
def road(pictures: Path, tmp_path: Path) -> teacher_road.Road:
    folder = tmp_path / "road"
    folder.mkdir()
    return teacher_road.Road(str(pictures), folder, "lego_digits", "cpu", 1, 1)


def first(road: teacher_road.Road, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = list(road.cells())[:count]
    monkeypatch.setattr(teacher_road.Road, "cells", lambda _: iter(cells))


def test_cells_that_are_needed_come_before_those_that_need_them(road: teacher_road.Road) -> None:
    known: set[str | None] = {None}
    for cell in road.cells():
        assert {cell.start, cell.teacher} <= known
        known.add(cell.name)


@pytest.mark.heavy
def test_what_is_done_is_not_done_again(
    road: teacher_road.Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    first(road, 3, monkeypatch)
    path = road.folder / "results.json"
    teacher_road._run(road, {}, path)
    names = [record["name"] for record in json.loads(path.read_text())]
    assert names == ["dense-short", "o2-m0.5-fit-short", "o2-m0.5-taught-short"]
    monkeypatch.setattr(teacher_road.Road, "carry_out", lambda *_: pytest.fail("done twice"))
    teacher_road._run(road, teacher_road._read(path), path)


def test_a_block_whose_time_is_over_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    with teacher_road._stopped_after(0.01):
        while True:
            time.sleep(0.001)
    assert "stopped" in capsys.readouterr().out


def test_a_training_that_saved_its_state_and_stopped_ends_the_command_in_peace() -> None:
    with teacher_road._stopped_after(1000.0):
        raise Interrupted(130)

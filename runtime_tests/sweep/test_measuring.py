"""What a sweep measures when, and what it leaves out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from legoexport.errors import UsageError
from legoexport.sweep import run
from legoexport.sweep.folder import Folder
from legoexport.sweep.grid import Grid
from legoexport.sweep.measure_variant import ROUNDS_COUNT
from runtime_tests.sweep.workshop import GRID, Workshop, request


def test_files_take_turns_and_the_fastest_round_counts(workshop: Workshop, tmp_path: Path) -> None:
    names = [cell.name for cell in GRID.cells]
    run.train_all(request(tmp_path))
    workshop.interrupted_at = len(names) + 2
    with pytest.raises(KeyboardInterrupt):
        run.measure_all(request(tmp_path))
    workshop.interrupted_at = None
    run.measure_all(request(tmp_path))
    assert workshop.measured == names * ROUNDS_COUNT, "what was measured before is not lost"
    first = Folder(tmp_path).measurement(GRID.variants[0])
    assert first is not None
    # The stand-in's latencies count up, so that the first round is the fastest.
    assert first.latencies_ms == tuple(1 + len(names) * each for each in range(ROUNDS_COUNT))
    assert first.latency_ms == 1


def test_another_number_of_threads_is_measured_again(workshop: Workshop, tmp_path: Path) -> None:
    run.train_all(request(tmp_path))
    run.measure_all(request(tmp_path))
    run.measure_all(request(tmp_path, bench_threads=2))
    assert len(workshop.measured) == 2 * ROUNDS_COUNT * len(GRID.cells)
    assert len(workshop.converted) == len(GRID.cells)


def test_what_was_measured_in_a_noise_is_measured_again(workshop: Workshop, tmp_path: Path) -> None:
    run.train_all(request(tmp_path))
    run.measure_all(request(tmp_path))
    run.measure_all(request(tmp_path), again=True)
    assert workshop.measured == [cell.name for cell in GRID.cells] * 2 * ROUNDS_COUNT


def test_what_is_not_trained_with_every_seed_can_be_left_out(
    workshop: Workshop, tmp_path: Path
) -> None:
    first = Grid((2,), (0.5,), (True,), (0, 1))
    run.train_all(request(tmp_path, grid=first))
    run.train_all(request(tmp_path, grid=replace(GRID, seeds=(0,))))
    part = run.trained_part(request(tmp_path))
    table = run.measure_all(part).table
    assert [row.name for row in table] == [design.name for design in first.designs]
    assert workshop.converted == [cell.name for cell in first.cells]
    assert run.trained_part(request(tmp_path, grid=first)).grid == first


def test_nothing_is_measured_without_what_all_are_compared_with(
    workshop: Workshop, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="holds no dense twin"):
        run.trained_part(request(tmp_path))
    assert workshop.measured == []


def test_integers_are_measured_beside_floats(workshop: Workshop, tmp_path: Path) -> None:
    both = replace(GRID, precisions=("fp32", "int8"))
    run.train_all(request(tmp_path))
    run.measure_all(request(tmp_path))
    table = run.measure_all(request(tmp_path, grid=both)).table
    assert workshop.trained == [cell.name for cell in GRID.cells]
    assert len(workshop.converted) == 2 * len(GRID.cells), "those in float were converted before"
    assert [row.name for row in table] == [
        *(design.name for design in GRID.designs),
        *(f"{design.name}-int8" for design in GRID.designs),
    ]

"""What a sweep keeps, adds up and draws."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from legoexport.errors import UsageError
from legoexport.sweep.figures import draw_deployment, draw_parameters
from legoexport.sweep.folder import CellResult, Folder, Measurement
from legoexport.sweep.grid import Grid, Variant
from legoexport.sweep.table import Row, cells_of, rows, write_csv

GRID = Grid((2, 4), (0.25, 0.5), (True, False), (0, 1, 7), (0.5,))
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A finished sweep of made-up numbers."""
    folder = Folder(tmp_path)
    folder.hold_budget({"epochs": 3})
    rng = np.random.default_rng(0)
    for cell in GRID.cells:
        correct = int(rng.integers(80, 100))
        folder.write_result(cell, CellResult(correct, 100, 1.5))
        rounds = tuple(rng.uniform(0.1, 0.9, 3).tolist())
        cost = Measurement(1000 + correct, 5000, rounds, 1, "onnxruntime")
        folder.write_measurement(Variant(cell, "fp32"), cost)
    return folder


def test_rows_are_those_of_numpy(folder: Folder) -> None:
    table = rows(folder, GRID)
    assert [row.design for row in table] == list(GRID.designs)
    for row in table:
        cells = [cell for cell in GRID.cells if cell.design == row.design]
        results = [folder.result(cell) for cell in cells]
        costs = [folder.measurement(Variant(cell, "fp32")) for cell in cells]
        accuracies = [each.correct_count / 100 for each in results]
        latencies = [np.min(each.latencies_ms) for each in costs]
        assert row.accuracy == pytest.approx(np.mean(accuracies))
        assert row.accuracy_std == pytest.approx(np.std(accuracies, ddof=1))
        assert row.latency_ms == pytest.approx(np.median(latencies))
        assert (row.latency_least_ms, row.latency_most_ms) == (min(latencies), max(latencies))
        assert row.parameters_count == np.median([each.parameters_count for each in costs])
        assert (row.seeds_count, row.test_count, row.size_bytes) == (3, 100, 5000)


def test_a_single_seed_has_no_spread(folder: Folder) -> None:
    grid = Grid(GRID.o_values, GRID.m_ratios, GRID.coefficients, (7,))
    table = rows(folder, grid)
    assert all(row.accuracy_std is None for row in table)
    assert "+-" not in cells_of(table)[1][1]
    assert draw_parameters(folder.path, table, "one seed")


def test_the_csv_file_has_every_digit(folder: Folder) -> None:
    table = rows(folder, GRID)
    path = folder.path / "table.csv"
    write_csv(path, table)
    records = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [record["design"] for record in records] == [row.design.name for row in table]
    for record, row in zip(records, table, strict=True):
        assert float(record["accuracy"]) == row.accuracy
        assert float(record["latency_ms"]) == row.latency_ms
        assert record["o"] == ("" if row.design.o is None else str(row.design.o))


def test_the_table_for_people_compares_with_the_dense_twin(folder: Folder) -> None:
    table = rows(folder, GRID)
    cells = cells_of(table)
    assert cells[0][2] == "+0.00 points"
    for row, line in zip(table, cells, strict=True):
        points = float(line[2].removesuffix(" points"))
        assert points == pytest.approx(100 * (row.accuracy - table[0].accuracy), abs=0.006)


def test_figures_say_their_budget_and_name_every_line(folder: Folder) -> None:
    table = rows(folder, GRID)
    drawn = draw_parameters(folder.path, table, "3 epochs on made-up pictures")
    drawn += draw_deployment(folder.path, table, "3 epochs on made-up pictures", 2)
    assert [path.name for path in drawn] == [
        *("parameters.png", "parameters.svg"),
        *("deployment.png", "deployment.svg"),
    ]
    for path in drawn[::2]:
        assert path.read_bytes().startswith(PNG_SIGNATURE)
    for path in drawn[1::2]:
        text = path.read_text()
        assert "3 epochs on made-up pictures" in text
        for o in (2, 4):
            assert f"o={o}, with coefficients" in text
            assert f"o={o}, without coefficients" in text
        assert "dense twin" in text
        assert "dense, fewer channels" in text
        assert "100 held-out pictures" in text
    assert "ms, 2 threads" in drawn[3].read_text()


def test_figures_tell_integers_apart_and_draw_the_front(folder: Folder) -> None:
    both = replace(GRID, precisions=("fp32", "int8"))
    for variant in both.variants[1::2]:
        cost = Measurement(1000, 1250, (0.2,), 1, "onnxruntime", correct_count=70, test_count=100)
        folder.write_measurement(variant, cost)
    table = rows(folder, both)
    integers = [row.accuracy for row in table if row.precision == "int8"]
    assert integers == pytest.approx([0.7] * len(GRID.designs)), "of the file, not of the training"
    assert cells_of(table)[len(GRID.designs)][:3] == ["dense-int8", "70.00%", "+0.00 points"]
    _, parameters = draw_parameters(folder.path, table, "caption")
    _, deployment = draw_deployment(folder.path, table, "caption", 1)
    assert "in int8" not in parameters.read_text(), "parameters are the same in both"
    assert {"in int8", "front"} <= {
        one.strip() for one in re.findall(r">([^<>]+)</text>", deployment.read_text())
    }


def test_the_same_table_gives_the_same_files(folder: Folder, tmp_path: Path) -> None:
    table: tuple[Row, ...] = rows(folder, GRID)
    first = [path.read_bytes() for path in draw_parameters(tmp_path, table, "caption")]
    again = [path.read_bytes() for path in draw_parameters(tmp_path, table, "caption")]
    assert first == again
    other = [path.read_bytes() for path in draw_parameters(tmp_path, table[:-1], "caption")]
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_another_budget_is_refused_and_the_same_is_not(folder: Folder) -> None:
    folder.hold_budget({"epochs": 3})
    with pytest.raises(
        UsageError, match=r"trained otherwise\n  received: epochs=4\n  legal: epochs=3"
    ):
        folder.hold_budget({"epochs": 4})
    folder.hold_budget({"epochs": 3})


def test_what_differs_in_a_recipe_is_named_alone(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.hold_budget({"data": "digits", "recipe": {"epochs": 3, "momentum": 0.9}})
    with pytest.raises(UsageError, match=r"received: momentum=0.5\n  legal: momentum=0.9\n"):
        folder.hold_budget({"data": "digits", "recipe": {"epochs": 3, "momentum": 0.5}})
    with pytest.raises(UsageError, match=r"received: momentum=None\n  legal: momentum=0.9\n"):
        folder.hold_budget({"data": "digits", "recipe": {"epochs": 3}})


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"correct_count": 1}'])
def test_a_damaged_file_is_named(folder: Folder, content: str) -> None:
    cell = GRID.cells[0]
    (folder.path / "cells" / "dense-seed0.json").write_text(content)
    with pytest.raises(UsageError, match=r"dense-seed0\.json[^$]*delete it"):
        folder.result(cell)

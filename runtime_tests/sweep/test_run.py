"""Sweeps that stop and go on, and one that is real."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from legoexport.cli import main
from legoexport.errors import CheckFailed, UsageError
from legoexport.models.checkpoint import read_checkpoint
from legoexport.sweep import run
from legoexport.sweep.folder import CellResult, Folder, Measurement
from legoexport.sweep.grid import Cell, Grid, Variant
from legoexport.sweep.measure_variant import ROUNDS_COUNT
from legoexport.sweep.request import SweepRequest
from legoexport.training.loop import Interrupted
from legoexport.training.recipe import Recipe

GRID = Grid((2, 4), (0.5,), (True,), (0, 1))


def request(out: Path, **changes: Any) -> SweepRequest:
    values: dict[str, Any] = {"arch": "lego_digits", "source": "digits", "grid": GRID}
    return SweepRequest(out=out, **values | {"recipe": Recipe()} | changes)


class Workshop:
    """Stands in for training and measuring, and may fail at one of the cells."""

    def __init__(self) -> None:
        self.trained: list[str] = []
        self.converted: list[str] = []
        self.measured: list[str] = []
        self.interrupted_at: int | None = None
        self.failing: str | None = None

    def train(self, request: SweepRequest, folder: Folder, cell: Cell) -> CellResult:
        del request, folder
        if cell.name == self.failing:
            raise Interrupted(130)
        self.trained.append(cell.name)
        return CellResult(90, 100, 1.0)

    def convert(self, request: SweepRequest, folder: Folder, variant: Variant) -> Measurement:
        del request, folder
        self._hold(variant)
        self.converted.append(variant.name)
        return Measurement(1000, 4000)

    def time(
        self, request: SweepRequest, folder: Folder, variant: Variant, known: Measurement
    ) -> Measurement:
        del folder
        if len(self.measured) == self.interrupted_at:
            raise KeyboardInterrupt
        self.measured.append(variant.name)
        latencies = (*known.latencies_ms, float(len(self.measured)))
        return replace(known, latencies_ms=latencies, threads=request.bench_threads)

    def _hold(self, variant: Variant) -> None:
        if variant.name == self.failing:
            raise CheckFailed("it does not run")


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch) -> Workshop:
    workshop = Workshop()
    monkeypatch.setattr(run, "train_cell", workshop.train)
    monkeypatch.setattr(run, "convert_variant", workshop.convert)
    monkeypatch.setattr(run, "time_variant", workshop.time)
    return workshop


def test_a_stopped_sweep_goes_on_where_it_was(workshop: Workshop, tmp_path: Path) -> None:
    names = [cell.name for cell in GRID.cells]
    workshop.failing = names[3]
    with pytest.raises(Interrupted):
        run.train_all(request(tmp_path))
    assert workshop.trained == names[:3]
    workshop.failing = None
    run.train_all(request(tmp_path))
    assert workshop.trained == names
    workshop.failing = names[2]
    with pytest.raises(CheckFailed):
        run.measure_all(request(tmp_path))
    workshop.failing = None
    run.measure_all(request(tmp_path))
    assert workshop.converted == names
    assert workshop.measured == names * ROUNDS_COUNT
    assert workshop.trained == names


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


def test_a_larger_grid_trains_what_is_new(workshop: Workshop, tmp_path: Path) -> None:
    run.train_all(request(tmp_path))
    workshop.trained.clear()
    grid = Grid((2, 4), (0.5,), (True,), (0, 1, 2))
    run.train_all(request(tmp_path, grid=grid))
    assert workshop.trained == [cell.name for cell in grid.cells if cell.seed == 2]


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


def test_another_recipe_needs_another_folder(workshop: Workshop, tmp_path: Path) -> None:
    run.train_all(request(tmp_path))
    with pytest.raises(UsageError, match="trained otherwise"):
        run.train_all(request(tmp_path, recipe=Recipe(epochs=3)))


def test_a_dense_network_is_no_subject(workshop: Workshop, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names a LegoNet"):
        run.train_all(request(tmp_path, arch="digits"))
    assert workshop.trained == []


def sweep(*arguments: object) -> object:
    try:
        main(["sweep", *map(str, arguments)])
    except SystemExit as stop:
        return stop.code
    return 0


@pytest.mark.parametrize(
    ("arguments", "dense"), [([], ["dense", "dense-w0.5"]), (["--widths", "none"], ["dense"])]
)
def test_a_rival_of_half_the_channels_is_trained_unless_refused(
    arguments: list[str], dense: list[str], workshop: Workshop, pictures: Path, tmp_path: Path
) -> None:
    assert sweep("--data", pictures, "--out", tmp_path, "--train-only", *arguments) == 0
    assert workshop.trained[: len(dense)] == [f"{name}-seed0" for name in dense]
    assert len(workshop.trained) == len(dense) + 12


@pytest.mark.heavy
def test_a_real_sweep(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--o", 4, "--m", 0.125, "--coefficients", "off", "--widths", 0.35)
    files = ("--data", pictures, "--out", tmp_path)
    budget = ("--epochs", 1, "--threads", 1, "--bench-seconds", 0.05)
    assert sweep(*arguments, *budget, *files, "--train-only") == 0
    assert not list(tmp_path.glob("*.png"))
    capsys.readouterr()
    assert sweep(*arguments, *budget, *files, "--json") == 0
    output = capsys.readouterr()
    assert "training" not in output.err
    dense, thin, lego, *integers = json.loads(output.out)
    cells = tmp_path / "cells"
    names = ("dense-seed0", "dense-w0.35-seed0", "o4-m0.125-plain-seed0")
    for row, name in zip((dense, thin, lego), names, strict=True):
        result = json.loads((cells / f"{name}.json").read_text())
        assert row["accuracy"] == result["correct_count"] / 20
        assert row["size_bytes"] == (cells / f"{name}.onnx").stat().st_size
        onnx.checker.check_model(onnx.load(cells / f"{name}.onnx"))
        assert row["latency_ms"] > 0
        checkpoint = read_checkpoint(cells / f"{name}.pt", dense=name.startswith("dense"))
        weights = checkpoint.module.named_parameters()
        counted = sum(value.numel() for key, value in weights if not key.endswith("mask_logits"))
        assert row["parameters_count"] == counted
    assert lego["parameters_count"] < dense["parameters_count"] / 10
    assert 0.1 < thin["parameters_count"] / dense["parameters_count"] < 0.15
    check_integers(integers, cells, names, pictures)
    assert {"table.csv", "parameters.svg", "deployment.png"} <= {
        path.name for path in tmp_path.iterdir()
    }


def check_integers(
    rows: list[dict[str, Any]], cells: Path, names: tuple[str, ...], pictures: Path
) -> None:
    """The files in int8 are judged as files, on exactly the pictures that were held out."""
    with np.load(pictures) as held_out:
        images, labels = held_out["test_images"].astype(np.float32), held_out["test_labels"]
    for row, name in zip(rows, names, strict=True):
        content = (cells / f"{name}-int8.onnx").read_bytes()
        session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
        ops = {node.op_type for node in onnx.load_model_from_string(content).graph.node}
        assert "QuantizeLinear" in ops
        scores = [session.run(None, {session.get_inputs()[0].name: one[None]})[0] for one in images]
        right = (np.concatenate(scores).argmax(axis=1) == labels).mean()
        assert (row["precision"], row["accuracy"]) == ("int8", right)
        assert row["size_bytes"] < (cells / f"{name}.onnx").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--o", "two"], "--o"),
        (["--m", "0.5,"], "--m"),
        (["--coefficients", "yes"], "--coefficients"),
        (["--seeds", "1,1"], "--seeds"),
        (["--widths", "2"], "--widths"),
        (["--precision", "fp64"], "--precision"),
        (["--train-only", "--measure-again"], "--train-only measures nothing"),
        (["--train-only", "--measure-only"], "drop --measure-only"),
        (["--measure-only", "--workers", "2"], "--measure-only trains nothing"),
        (["--preset", "digits", "--recipe", "speed=9"], "speed"),
        (["--o", "3"], "o must divide"),
        (["--bench-seconds", "0"], "duration must be positive"),
        (["--out", "/proc/nowhere"], "cannot make the folder"),
    ],
    ids=str,
)
def test_a_mistake_is_explained(
    arguments: list[str],
    message: str,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert sweep("--data", pictures, "--out", tmp_path / "out", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.pt")), "found out before any training"

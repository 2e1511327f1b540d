"""Sweeps that stop and go on, and one that is real."""

from __future__ import annotations

import json
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
from legoexport.sweep.grid import Grid
from legoexport.sweep.measure_variant import ROUNDS_COUNT
from legoexport.training.loop import Interrupted
from legoexport.training.recipe import Recipe
from runtime_tests.sweep.workshop import GRID, Workshop, request


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


def test_a_larger_grid_trains_what_is_new(workshop: Workshop, tmp_path: Path) -> None:
    run.train_all(request(tmp_path))
    workshop.trained.clear()
    grid = Grid((2, 4), (0.5,), (True,), (0, 1, 2))
    run.train_all(request(tmp_path, grid=grid))
    assert workshop.trained == [cell.name for cell in grid.cells if cell.seed == 2]


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
        (["--bench-seconds", "0"], "0 is not in the range x>0"),
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

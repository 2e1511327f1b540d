"""What rounding costs: ``verify`` tells of a finished file what ``convert`` told of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from legoexport.cli import group
from legoexport.errors import UsageError
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.parity import array_file
from runtime_tests.networks import randomize


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, and labelled images of which one half calibrates."""
    path = tmp_path_factory.mktemp("cost")
    torch.manual_seed(0)
    network = randomize(build("lego_digits"))
    write_checkpoint(path / "c.pt", network, arch="lego_digits", hyperparameters={})
    images = np.random.default_rng(1).standard_normal((9, 1, 8, 8)).astype(np.float32)
    np.savez(path / "i.npz", images=images, labels=np.arange(9))
    return path


def run(folder: Path, *words: str) -> str:
    result = CliRunner().invoke(group, [*words, "--data", str(folder / "i.npz")])
    assert result.exit_code == 0, result.output
    return result.stdout


def verified(folder: Path, *words: str) -> Any:
    files = (str(folder / "c.pt"), str(folder / "m.onnx"))
    return json.loads(run(folder, "verify", *files, *words, "--json"))["cost"]


def converted(folder: Path, *words: str) -> Any:
    out = str(folder / "m.onnx")
    words = (str(folder / "c.pt"), *words, "--json", "--force", "--out", out)
    return json.loads(run(folder, "convert", *words))


def test_int_eight_costs_what_convert_said_on_the_images_that_did_not_calibrate(
    folder: Path,
) -> None:
    twin = ("--dense-twin", str(folder / "twin.onnx"))
    said = converted(folder, "--precision", "int8", *twin)["int8"]["cost"]
    assert said["scores"][0]["images_count"] == 5
    assert verified(folder, *twin) == said


def test_weights_in_fewer_bits_have_the_same_report(folder: Path) -> None:
    said = converted(folder, "--store", "int8")["store_cost"]
    found = verified(folder)
    assert found["layers"] == said["layers"]
    assert found["scores"] == said["scores"][-1:]
    text = run(folder, "verify", str(folder / "c.pt"), str(folder / "m.onnx"))
    assert "What storing int8 costs" in text
    assert "activations, dB" not in text


@pytest.mark.parametrize("words", [("--batch", "2"), ("--input", "image")], ids=["batch", "image"])
def test_images_are_read_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """Also where the file is judged on fewer of them, or on other numbers, than the network."""
    how = ("--mean", "0.5", "--std", "0.25")
    pixels = np.random.default_rng(2).integers(0, 256, (5, 1, 8, 8))
    np.savez(tmp_path / "i.npz", images=((pixels / 255 - 0.5) / 0.25).astype(np.float32))
    files = (str(folder / "c.pt"), str(tmp_path / "m.onnx"))
    run(tmp_path, "convert", files[0], "--out", files[1], "--store", "int8", *words, *how)
    reads: list[int] = []
    read = array_file._read

    def counted(place: Any, positions: Any, size: int) -> Any:
        reads.append(len(positions))
        return read(place, positions, size)

    monkeypatch.setattr(array_file, "_read", counted)
    cost = json.loads(run(tmp_path, "verify", *files, *how, "--json"))["cost"]
    assert reads == [5]
    assert cost["scores"][0]["images_count"] == (4 if "--batch" in words else 5)


def test_a_file_of_float_costs_nothing(folder: Path) -> None:
    out = folder / "m.onnx"
    words = ["convert", str(folder / "c.pt"), "--out", str(out), "--force"]
    assert CliRunner().invoke(group, words).exit_code == 0
    assert verified(folder) is None


def test_a_twin_without_images_is_refused(folder: Path) -> None:
    words = ["verify", str(folder / "c.pt"), "m.onnx", "--dense-twin", "t.onnx"]
    with pytest.raises(UsageError, match="no --data"):
        CliRunner().invoke(group, words, catch_exceptions=False)

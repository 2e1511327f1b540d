"""``legoexport train``: its files, what it says, and its answers to mistakes."""

from __future__ import annotations

import csv
import io
import json
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from legoexport.cli import main
from legoexport.errors import UsageError
from legoexport.models.checkpoint import read_checkpoint
from legoexport.training.fit import hold_batches
from legoexport.training.log import EpochProgress, format_seconds
from legoexport.training.ranks import Ranks
from legoexport.training.recipe import PRESETS
from legoexport.training.results import EpochResult
from runtime_tests.training.tiny import tiny_data


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["train", *arguments])
    code = ended.value.code
    assert isinstance(code, int)
    return code


def digits(out: Path, source: Path) -> list[str]:
    return [
        *("--arch", "lego_digits", "--data", str(source), "--out", str(out)),
        *("--preset", "digits", "--epochs", "2", "--threads", "1", "--no-amp"),
        *("--device", "cpu", "--recipe", "batch_size=64"),
    ]


def test_files_and_numbers_agree(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, seen = tmp_path / "net.pt", tmp_path / "seen.npz"
    more = ["--json", "--test-images", str(seen), "--set", "o=4", "--no-coefficients"]
    assert run(*digits(out, pictures), *more) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert {path.name for path in tmp_path.iterdir()} == {"net.pt", "net.pt.csv", "seen.npz"}
    rows = list(csv.DictReader(io.StringIO((tmp_path / "net.pt.csv").read_text())))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    for row, result in zip(rows, told["results"], strict=True):
        assert {name: float(text) for name, text in row.items()} == result
    checkpoint = read_checkpoint(out)
    assert checkpoint.arch == "lego_digits"
    assert checkpoint.hyperparameters["o"] == 4
    assert checkpoint.hyperparameters["coefficients"] is False
    with np.load(seen) as content, torch.no_grad():
        scores = checkpoint.module(torch.from_numpy(content["images"]))
        correct = int((scores.argmax(1).numpy() == content["labels"]).sum())
    assert told["correct_count"] == correct
    assert told["test_accuracy"] == correct / 30
    # No terminal: a line an epoch, and nothing that moves.
    assert said.err.count("masks changed") == 2
    assert "\x1b" not in said.err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--set", "o=3"], "3"),
        (["--set", "classes=7"], "classes"),
        (["--set", "depth=7"], "depth"),
        (["--recipe", "learning_rate=fast"], "learning_rate"),
        (["--recipe", "rate=1"], "rate"),
        (["--arch", "lego_alexnet"], "lego_alexnet"),
        (["--arch", "lego_vgg16"], "channels"),
        (["--data", "nowhere.zip"], "nowhere.zip"),
        (["--device", "abacus"], "abacus"),
        (["--out", "no/such/folder/net.pt"], "no/such/folder"),
    ],
    ids=str,
)
def test_mistakes_are_named(
    tmp_path: Path,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    named: str,
) -> None:
    assert run(*digits(tmp_path / "net.pt", pictures), *arguments) == 2
    assert named in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_training_that_diverges_says_so(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "net.pt"
    assert run(*digits(out, pictures), "--recipe", "learning_rate=1e30") == 1
    assert "diverged by epoch 1" in capsys.readouterr().err
    assert not out.exists()


def test_a_batch_must_have_a_picture_for_each_process() -> None:
    data, recipe = tiny_data(count=33), replace(PRESETS["paper"], batch_size=8)
    hold_batches(data, recipe, Ranks(0, 1))
    with pytest.raises(UsageError, match="2 processes"):
        hold_batches(data, recipe, Ranks(0, 2))


def test_tensorboard_is_asked_for_before_training(
    tmp_path: Path,
    pictures: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    out = tmp_path / "net.pt"
    assert run(*digits(out, pictures), "--tensorboard", str(tmp_path / "board")) == 2
    assert "pip install tensorboard" in capsys.readouterr().err


def test_tensorboard_gets_every_number(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    points: list[tuple[str, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == str(tmp_path / "board")

        def add_scalar(self, name: str, value: float, epoch: int) -> None:
            assert isinstance(value, (int, float))
            points.append((name, epoch))

        def flush(self) -> None:
            points.append(("flush", 0))

    board = types.SimpleNamespace(SummaryWriter=Writer)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    assert (
        run(*digits(tmp_path / "net.pt", pictures), "--tensorboard", str(tmp_path / "board")) == 0
    )
    assert {("mean_loss", 1), ("test_accuracy", 2), ("changed_choices_count", 2)} <= set(points)
    assert points[-1] == ("flush", 0)


def result(epoch: int) -> EpochResult:
    return EpochResult(epoch, 1.25, 0.5, 17, 0.1, training_seconds=100.0, images_per_second=500.0)


def test_progress_off_a_terminal_is_plain_lines() -> None:
    text = io.StringIO()
    recipe = PRESETS["short"]
    with EpochProgress(recipe, 50_000, Console(file=text, width=40)) as progress:
        progress.step(1, 128, 2.3, 0.2)  # not yet due
        progress.epoch(result(1))
    assert text.getvalue() == (
        "epoch 1/20  loss 1.250  accuracy 50.00%  masks changed 17  500 images/s  32 min left\n"
    )


def test_progress_on_a_terminal_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legoexport.training.log.MOVING_SECONDS", 0.0)
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=200)
    with EpochProgress(PRESETS["short"], 1000, console) as progress:
        progress.step(20, 500, 2.3, 10.0)
        console.file.flush()
        progress.say("done")
    assert "50 images/s  10 s left" in text.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (7500, "2 h 05 min")]
)
def test_times_for_people(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text

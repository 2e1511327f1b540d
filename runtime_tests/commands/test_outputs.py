"""Every command refuses, before any work, to write over what it reads or over another output."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from legoexport.cli import group
from legoexport.errors import UsageError
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in with a checkpoint, arrays and a plan."""
    monkeypatch.chdir(tmp_path)
    write_checkpoint(Path("a.pt"), build("lego_digits"), arch="lego_digits", hyperparameters={})
    np.savez("data.npz", images=np.zeros((2, 1, 8, 8), np.float32))
    Path("plan.json").write_text('{"version": 1, "lowerings": {}}')
    os.link("a.pt", "hard.pt")
    Path("link.pt").symlink_to("a.pt")
    Path("stages").mkdir()
    Path("stages/mine.txt").write_text("mine")
    os.mkfifo("fifo")
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(arguments: str) -> Result:
    return CliRunner().invoke(group, arguments.split(), standalone_mode=False)


REFUSED = {
    "convert a.pt --out a.pt": "--out a.pt would overwrite CHECKPOINT a.pt",
    "convert a.pt --out ./a.pt --force": "would overwrite CHECKPOINT",
    "convert a.pt --out hard.pt --force": "would overwrite CHECKPOINT",
    "convert a.pt --out link.pt --force": "would overwrite CHECKPOINT",
    "convert a.pt --out m.onnx --dense-twin m.onnx": "--dense-twin m.onnx would overwrite --out",
    "convert a.pt --out m.onnx --save-plan m.onnx": "--save-plan m.onnx would overwrite --out",
    "convert a.pt --out m.onnx --save-plan a.pt": "--save-plan a.pt would overwrite CHECKPOINT",
    "convert a.pt --plan plan.json --out plan.json": "would overwrite --plan plan.json",
    "convert a.pt --out m.onnx --save-stages stages": "--save-stages stages holds something else",
    "convert a.pt --out new/m.onnx --save-stages new": "--save-stages new holds something else",
    "convert a.pt --out m.ort --save-plan m.required_operators_and_types.config": (
        "would overwrite the configuration beside --out"
    ),
    "convert a.pt --out data.npz": "holds arrays (.npz) and would be replaced by an ONNX file",
    "convert a.pt --out fifo --force": "received: a FIFO",
    "convert a.pt --out stages --force": "received: a folder",
    "convert a.pt --out m.onnx --dense-twin -": "--dense-twin writes a file, and does not write to",
    "convert a.pt --out - --save-plan -": "--save-plan writes a file, and does not write to",
    "convert a.pt --out - --format ort": "- cannot hold ort",
    "fit --from a.pt --out -": "--out writes a file, and does not write to standard output",
    "train --arch lego_digits --data digits --out -": "--out writes a file, and does not write to",
    "fit --from a.pt --out link.pt": "--out link.pt would overwrite --from a.pt",
    "fit --from a.pt --data data.npz --out data.npz --force": "would overwrite --data",
    "train --arch lego_digits --data data.npz --out data.npz --force": "would overwrite --data",
    "train --arch lego_digits --data digits --start a.pt --out a.pt": "would overwrite --start",
    "train --arch lego_digits --data digits --out x.pt --log x.pt": "would overwrite --out",
    "train --arch lego_digits --data digits --out x.pt --test-images x.pt.state": (
        "would overwrite the state beside --out"
    ),
    "calibrate --out a.pt": "holds a PyTorch checkpoint and would be replaced by a JSON file",
    "sweep --data digits --out stages": "stages holds something else",
    "verify a.pt plan.json --save-bundle stages": "stages",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_nothing_of_the_users_is_lost(arguments: str, folder: Path) -> None:
    before = contents(folder)
    error = run(arguments).exception
    assert isinstance(error, UsageError), error
    assert REFUSED[arguments] in str(error)
    assert contents(folder) == before


def test_the_link_stays_and_what_it_points_to_is_written(folder: Path) -> None:
    (folder / "far").mkdir()
    Path("link.onnx").symlink_to("far/m.onnx")
    assert run("convert a.pt --out link.onnx").exception is None
    assert Path("link.onnx").is_symlink()
    assert (folder / "far" / "m.onnx").stat().st_size > 1000


def test_force_replaces_another_kind_of_file(folder: Path) -> None:
    assert run("convert a.pt --out data.npz --force").exception is None
    assert (folder / "data.npz").read_bytes()[0] == 0x08, "a ModelProto begins with ir_version"

"""Networks of the user's with several inputs, on the command line: convert, verify, bench."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import onnx
import pytest
import torch
from click.testing import CliRunner, Result

from legoexport.cli import group
from legoexport.commands.shape_options import InputShape, parse_shapes
from legoexport.errors import LegoExportError, UsageError

CODE = """
from torch import nn
from legoexport.models.lego_conv import LegoConv2d


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = LegoConv2d(8, 8, 3, o=2, m=4, padding=1)
        self.words = nn.Embedding(20, 8)

    def forward(self, image, words, mask=None):
        y = self.body(image if mask is None else image * mask)
        return y.mean((2, 3)) * self.words(words).mean(1)
"""
MODEL = "--model several_inputs:Both"
IMAGE, WORDS = "--input-shape image=8,6,6", "--input-shape words=5:int64:0..19"
CONVERT = f"convert w.pt --out m.onnx {MODEL} {IMAGE} {WORDS}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("several_inputs.py").write_text(CODE)
    torch.manual_seed(0)
    network = importlib.import_module("several_inputs").Both()
    torch.save(network.state_dict(), "w.pt")
    return tmp_path


def run(arguments: str) -> Result:
    return CliRunner().invoke(group, arguments.split(), standalone_mode=False)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("batch", ["dynamic", "3"])
def test_the_whole_road(batch: str) -> None:
    assert run(f"{CONVERT} --batch {batch}").exception is None
    inputs = onnx.load("m.onnx").graph.input
    assert [one.name for one in inputs] == ["image", "words"]
    assert [one.type.tensor_type.elem_type for one in inputs] == [
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.INT64,
    ]
    verified = run(f"verify w.pt m.onnx {MODEL} --save-bundle kept --json")
    assert verified.exception is None
    found = json.loads(verified.stdout)
    assert found["passed"] is True
    assert found["exact"]["equal"] is True
    assert run("verify --bundle kept m.onnx").exception is None
    assert run("bench m.onnx --batch 3 --duration 0.05").exception is None


@pytest.mark.usefixtures("folder")
def test_another_order_and_a_parameter_with_a_default() -> None:
    mask = "--input-shape mask=1,6,6:uint8"
    convert = f"convert w.pt --out m.onnx {MODEL} {mask} {WORDS} {IMAGE}"
    assert run(convert).exception is None
    assert [one.name for one in onnx.load("m.onnx").graph.input] == ["image", "words", "mask"]


@pytest.mark.usefixtures("folder")
def test_a_wrong_weight_of_such_a_file_is_found() -> None:
    assert run(CONVERT).exception is None
    model = onnx.load("m.onnx")
    words = next(one for one in model.graph.initializer if "words" in one.name)
    words.raw_data = words.raw_data[::-1]
    onnx.save(model, "m.onnx")
    error = run(f"verify w.pt m.onnx {MODEL}").exception
    assert isinstance(error, LegoExportError)
    assert error.exit_code == 1
    assert "words.weight" in str(error)


REFUSED = {
    f"convert w.pt --out m.onnx {MODEL} {IMAGE}": "give --input-shape once for each parameter",
    f"{CONVERT} --input-shape other=3": "legal: image, words, mask",
    f"{CONVERT} {IMAGE}": "--input-shape names an input twice",
    f"{CONVERT} --input-size 6 6": "received: --input-size",
    f"{CONVERT} --data digits": "received: --data",
    f"convert w.pt --out m.ort {MODEL} {IMAGE} {WORDS}": "received: --out with .ort",
    f"convert w.pt --out m.onnx --arch lego_digits {IMAGE}": "lego_digits takes one image",
    f"convert w.pt --out m.onnx {MODEL}": "for other inputs than one image, convert takes",
    "convert w.pt --out m.onnx --input-shape 3,4": "legal: NAME=SIZE,SIZE[:TYPE[:LOW..HIGH]]",
    "convert w.pt --out m.onnx --input-shape a=3,x": "received: a=3,x",
    "convert w.pt --out m.onnx --input-shape a=3:int46": "did you mean int64?",
    "convert w.pt --out m.onnx --input-shape a=0": "sizes from 1 on",
    "convert w.pt --out m.onnx --input-shape a=3:int64:5..2": "LOW below HIGH",
    "convert w.pt --out m.onnx --input-shape a=3:uint8:0..2": "a range is for integers",
    "convert w.pt --out m.onnx --input-shape a=3:int8:0..128": "legal: values of int8, -128..127",
    f"{CONVERT} --batch {10**12}": f"received: {10**12}x8x6x6",
    f"{CONVERT} --batch {10**20}": "give a smaller --batch",
}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("arguments", REFUSED)
def test_what_does_not_fit_names_the_option(arguments: str) -> None:
    error = run(arguments).exception
    assert isinstance(error, LegoExportError), error
    assert REFUSED[arguments] in str(error)
    assert error.exit_code == 2 or "w.pt: " in str(error)
    assert not Path("m.onnx").exists()


@pytest.mark.usefixtures("folder")
def test_a_file_of_other_inputs_is_not_of_a_network_of_ours() -> None:
    assert run(CONVERT).exception is None
    error = run("verify w.pt m.onnx --arch lego_digits").exception
    assert isinstance(error, LegoExportError)
    assert "lego_digits takes one image, and was to be read for other inputs" in str(error)


def test_what_the_texts_say() -> None:
    assert parse_shapes(["a=3,4", "b=5:int64:-1..7", "c=1:bool"]) == (
        InputShape("a", (3, 4), "float32", (0, 0)),
        InputShape("b", (5,), "int64", (-1, 7)),
        InputShape("c", (1,), "bool", (0, 0)),
    )
    with pytest.raises(UsageError):
        parse_shapes(["a=3", "a=3"])

"""``--input image``: a file from pixels on, held to PyTorch with the normalization of training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.deliver.dense_twin import convert_dense_twin
from legoexport.errors import UsageError
from legoexport.lego.file_facts import ImageFacts, read_facts
from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.network_ends import from_pixels
from legoexport.models.registry import build
from legoexport.parity.verify import verify
from legoexport.target import find_target
from legoexport.training.data.images import ImageData
from runtime_tests.command_line import legoexport
from runtime_tests.compile.pixel_files import (
    EXAMPLE,
    HOW,
    NETWORK,
    SIZE,
    TOLERANCE,
    expected,
    pixels,
    predict_alike,
    write_digits,
)


def run(model: bytes, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    (scores,) = onnxruntime.InferenceSession(model).run(None, {"image": images})
    return np.asarray(scores)


@pytest.mark.parametrize("target", ["cpu", "arm64", "coreml"])
@pytest.mark.parametrize("batch", [None, 3])
def test_pixels_give_the_scores_of_the_network(target: str, batch: int | None) -> None:
    preset = find_target(target)
    is_open = batch is None and preset.dynamic_batch
    options = CompileOptions(preset, dynamic_batch=is_open, pixels=HOW)
    example = torch.zeros(batch or 1, 3, *SIZE)
    file = convert_module(NETWORK, example, options).model_bytes
    facts = read_facts(onnx.load_from_string(file))
    assert facts.image == ImageFacts("NHWC", "uint8", *SIZE, 3, "RGB")
    assert facts.pixels == facts.normalization == HOW
    images = pixels(batch or (4 if is_open else 1), (*SIZE, 3))
    scores = expected(images)
    assert np.abs(run(file, images) - scores).max() <= TOLERANCE * np.ptp(scores)
    found = verify(NETWORK, file)
    assert found.passed
    assert found.exact.to_json()["equal"] is True
    assert list(found.agreements) == ["pixels", "dark pixels", "black and white"]


def test_the_twin_and_short_weights_take_pixels_too() -> None:
    images = pixels(4, (*SIZE, 3))
    scores = expected(images)
    twin = convert_dense_twin(NETWORK, EXAMPLE, CompileOptions(pixels=HOW))
    assert np.abs(run(twin, images) - scores).max() <= TOLERANCE * np.ptp(scores)
    stored = convert_module(NETWORK, EXAMPLE, CompileOptions(pixels=HOW, store="fp16"))
    assert stored.cost is not None
    assert "two nodes" in stored.compiled.pixels_remark
    assert verify(NETWORK, stored.model_bytes).passed


def test_the_reference_normalises_as_training_does() -> None:
    images = torch.from_numpy(pixels(8, (3, 5, 4)))
    labels = torch.arange(8) % 2
    data = ImageData(images, labels, images, labels)
    how = Normalization(*(tuple(x / 255 for x in one) for one in (data.mean, data.std)))
    seen = from_pixels(torch.nn.Identity(), how)(images.permute(0, 2, 3, 1))
    assert torch.equal(seen, data.normalised(images))


def test_pixels_come_back_from_what_the_network_sees() -> None:
    images = pixels(8, (5, 4, 3))
    assert np.array_equal(HOW.undone(HOW.applied(np.moveaxis(images, 3, 1))), images)
    for others in (
        np.full((1, 3, 5, 4), 0.123),
        np.full((1, 3, 5, 4), 9e9),
        np.zeros((1, 1, 5, 4)),
    ):
        with pytest.raises(UsageError, match="checked with pixels"):
            HOW.undone(others)


def test_a_tensor_is_taken_unless_an_image_is_asked_for() -> None:
    plain = convert_module(NETWORK, EXAMPLE, normalization=HOW)
    assert "take_pixels" not in plain.compiled.stages
    assert read_facts(onnx.load_from_string(plain.model_bytes)).pixels is None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pixels")
    write_digits(folder, (9, 9))
    outputs = ("--out", folder / "d.onnx", "--dense-twin", folder / "twin.onnx")
    assert legoexport("convert", folder / "d.pt", "--input", "image", *outputs) == 0
    assert legoexport("convert", folder / "d.pt", "--out", folder / "tensor.onnx") == 0
    return folder


def test_verify_takes_pictures_and_a_bundle_holds_pixels(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, bundle = (folder / "d.pt", folder / "d.onnx"), folder / "bundle"
    arguments = ("--data", folder / "pictures", "--save-bundle", bundle)
    assert legoexport("verify", *files, *arguments) == 0
    told = capsys.readouterr().out
    assert "pictures of pictures" in told
    assert "equal to the bit" in told
    assert legoexport("verify", "--bundle", bundle, files[1]) == 0
    with np.load(bundle / "arrays.npz") as arrays:
        assert {str(arrays[f"input_{i}_0"].dtype) for i in range(4)} == {"uint8"}
    assert json.loads((bundle / "bundle.json").read_text())["facts"]["image"]["dtype"] == "uint8"


def test_predict_and_bench_take_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = sorted((folder / "pictures").iterdir())
    predict_alike([folder / "d.onnx", folder / "tensor.onnx"], pictures, capsys)
    stated = ("--mean", "0.5", "--std", "0.5")
    assert legoexport("predict", folder / "d.onnx", pictures[0], *stated) == 2
    assert "normalises them itself" in capsys.readouterr().err
    bench = ("bench", folder / "d.onnx", "--vs", folder / "twin.onnx", "--duration", "0.1")
    assert legoexport(*bench, "--json") == 0


@pytest.mark.parametrize("name", ["image/mean", "features.0.weight"])
def test_another_normalization_in_the_file_fails_and_is_named(
    folder: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(folder / "d.onnx")
    held = next(one for one in model.graph.initializer if one.name == name)
    held.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(held) * np.float32(1.1), name))
    onnx.save(model, tmp_path / "changed.onnx")
    assert legoexport("verify", folder / "d.pt", tmp_path / "changed.onnx") == 1
    assert f"tensor {name}" in capsys.readouterr().err


def test_nobody_guesses_a_normalization(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent, out = tmp_path / "silent.pt", tmp_path / "s.onnx"
    write_checkpoint(silent, build("lego_digits"), arch="lego_digits", hyperparameters={})
    wanted = ("--input", "image", "--out", out)
    assert legoexport("convert", silent, *wanted) == 2
    assert "does not say how training normalised" in capsys.readouterr().err
    stated = ("--mean", "0.5", "--std", "0.25")
    for ends in (wanted, ("--out", out)):
        assert legoexport("convert", folder / "d.pt", *ends, *stated) == 2
        assert "contradict the checkpoint" in capsys.readouterr().err
    assert not out.exists()

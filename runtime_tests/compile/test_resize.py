"""``--resize``: a file that scales pictures as training does, proved from their own pixels on."""

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
from PIL import Image, ImageOps

from legoexport.compile.stages import CompileOptions
from legoexport.deliver import prove
from legoexport.deliver.convert import convert_module
from legoexport.errors import CheckFailed, UsageError
from legoexport.lego.file_facts import ImageFacts, read_facts
from legoexport.lego.resampling import Resize
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.parity.verify import verify
from legoexport.target import TARGETS, find_target
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

SOURCE = (31, 40)


def pictures(count: int) -> NDArray[np.uint8]:
    return pixels(count, (*SOURCE, 3))


def scaled(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same as Pillow makes them for the network."""
    fitted = [np.asarray(ImageOps.fit(Image.fromarray(one), SIZE[::-1])) for one in images]
    return np.stack(fitted)


@pytest.mark.parametrize(("target", "batch"), [("cpu", None), ("nnapi", 2)])
def test_pictures_of_the_source_give_the_scores_of_the_network(
    target: str, batch: int | None
) -> None:
    preset = find_target(target)
    options = CompileOptions(preset, pixels=HOW, source_size=SOURCE)
    file = convert_module(NETWORK, torch.zeros(batch or 1, 3, *SIZE), options).model_bytes
    facts = read_facts(onnx.load_from_string(file))
    assert facts.image == ImageFacts("NHWC", "uint8", *SOURCE, 3, "RGB", "in the file")
    assert facts.resize == Resize(SOURCE, SIZE)
    images = pictures(batch or 4)
    scores = expected(scaled(images))
    (given,) = onnxruntime.InferenceSession(file).run(None, {"image": images})
    assert np.abs(given - scores).max() <= TOLERANCE * np.ptp(scores)
    found = verify(NETWORK, file)
    assert found.passed
    assert found.exact.to_json()["equal"] is True


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_target_takes_it_or_says_what_it_lacks(target: str) -> None:
    preset = find_target(target)
    if target == "coreml":
        with pytest.raises(UsageError, match=r"(?s)coreml lacks .* needs Floor, Gather"):
            CompileOptions(preset, pixels=HOW, source_size=SOURCE)
    else:
        assert CompileOptions(preset, pixels=HOW, source_size=SOURCE).source_size == SOURCE


def test_a_file_needs_pixels_to_scale() -> None:
    with pytest.raises(UsageError, match="takes tensors scales no pictures"):
        CompileOptions(source_size=SOURCE)
    with pytest.raises(UsageError, match="no size of pictures"):
        CompileOptions(pixels=HOW, source_size=(0, 3))


def test_a_pillow_that_scales_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def brighter(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
        scaled = Resize((pixels.shape[1], pixels.shape[2]), size).applied(pixels)
        return np.minimum(scaled, 254) + np.uint8(1)

    monkeypatch.setattr(prove, "fitted", brighter)
    with pytest.raises(CheckFailed, match="installed Pillow scales pictures otherwise"):
        prove.check_resize(Resize(SOURCE, SIZE))


def test_short_weights_and_the_twin_are_scaled_for_too() -> None:
    stored = convert_module(
        NETWORK,
        EXAMPLE,
        CompileOptions(pixels=HOW, source_size=SOURCE, store="fp16"),
        dense_twin=True,
    )
    assert stored.cost is not None
    assert verify(NETWORK, stored.model_bytes).passed
    assert stored.dense_twin is not None
    images = pictures(2)
    scores = expected(scaled(images))
    (given,) = onnxruntime.InferenceSession(stored.dense_twin).run(None, {"image": images})
    assert np.abs(given - scores).max() <= 1e-2 * np.ptp(scores)  # the weights are fp16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resize")
    write_digits(folder, (18, 25))
    ends = ("--input", "image", "--resize", "18x25")
    assert legoexport("convert", folder / "d.pt", *ends, "--out", folder / "d.onnx") == 0
    assert legoexport("convert", folder / "d.pt", "--out", folder / "tensor.onnx") == 0
    return folder


def test_verify_and_a_bundle_take_pictures_of_the_source(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, bundle = (folder / "d.pt", folder / "d.onnx"), folder / "bundle"
    arguments = ("--data", folder / "pictures", "--save-bundle", bundle)
    assert legoexport("verify", *files, *arguments) == 0
    assert "equal to the bit" in capsys.readouterr().out
    assert legoexport("verify", "--bundle", bundle, files[1]) == 0
    facts = json.loads((bundle / "bundle.json").read_text())["facts"]
    assert facts["resize"] == {"source": [18, 25], "size": [8, 8]}
    with Image.open(next((bundle / "pictures").glob("*.png"))) as picture:
        assert picture.size == (25, 18)


def test_predict_gives_what_it_gives_for_pictures_scaled_outside(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted((folder / "pictures").iterdir())
    predict_alike([folder / "d.onnx", folder / "tensor.onnx"], files, capsys)
    Image.fromarray(pixels(1, (9, 9))[0]).save(tmp_path / "small.png")
    assert legoexport("predict", folder / "d.onnx", files[0], tmp_path / "small.png") == 2
    told = capsys.readouterr().err
    assert "another size than the model scales" in told
    assert "9x9" in told


def test_bench_takes_it_and_a_page_says_why_not(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert legoexport("bench", folder / "d.onnx", "--duration", "0.1", "--json") == 0
    assert legoexport("web", folder / "d.onnx", "--out", tmp_path / "site") == 2
    assert "--resize 18x25" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["image/resize/rows/weight/taps", "image/resize/columns/scale"])
def test_another_scaling_in_the_file_fails_and_is_named(
    folder: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(folder / "d.onnx")
    held = next(one for one in model.graph.initializer if one.name == name)
    array = numpy_helper.to_array(held).copy()
    array.flat[array.size // 2] += 1
    held.CopyFrom(numpy_helper.from_array(array, name))
    onnx.save(model, tmp_path / "changed.onnx")
    assert legoexport("verify", folder / "d.pt", tmp_path / "changed.onnx") == 1
    assert f"tensor {name}" in capsys.readouterr().err


def test_the_size_is_stated_clearly_or_nothing_is_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent, out = tmp_path / "silent.pt", tmp_path / "s.onnx"
    write_checkpoint(silent, build("lego_digits"), arch="lego_digits", hyperparameters={})
    for checkpoint, words, said in (
        (folder / "d.pt", ("--resize", "18x25"), "add --input image"),
        (folder / "d.pt", ("--input", "image", "--resize", "18"), "such as 480x640"),
        (folder / "d.pt", ("--input", "image", "--resize", "0x8"), "such as 480x640"),
        (folder / "d.pt", ("--input", "image", "--resize", "90000x90000"), "pixels at most"),
        (folder / "d.pt", ("--input", "image", "--resize", "8x8"), "of this size already"),
        (silent, ("--input", "image", "--resize", "18x25"), "does not say how training"),
    ):
        assert legoexport("convert", checkpoint, *words, "--out", out) == 2
        assert said in capsys.readouterr().err
    assert not out.exists()


def test_convert_tells_what_it_scales(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--input", "image", "--resize", "20x9", "--format", "ort")
    out = tmp_path / "d.ort"
    assert legoexport("convert", folder / "d.pt", *words, "--out", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["resize"] == {
        "source": [20, 9],
        "size": [8, 8],
    }

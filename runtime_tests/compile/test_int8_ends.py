"""A file in int8 that takes pixels, or gives classes: the same integers between its ends."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import Conversion, convert_module
from legoexport.errors import UsageError
from legoexport.lego.normalization import Normalization
from legoexport.lego.pixel_integers import affine_of_pixels
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.parity.bundle import read_bundle, replay, save_bundle
from legoexport.parity.golden import judge_golden
from legoexport.parity.inputs import InputSet
from legoexport.parity.integer.ends import FileEnds, without_ends
from legoexport.parity.integer.replay import open_to_replay
from legoexport.parity.judge import combine
from legoexport.parity.verify import verify
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from legoexport.target import find_target
from runtime_tests.command_line import legoexport
from runtime_tests.networks import SmallNet, randomize

EXAMPLE = torch.zeros(1, 3, 8, 8)
HOW = Normalization((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
# 76.5 lies between two grey levels; 77 does not.
ALIKE = Normalization((77 / 255,) * 3, (0.25,) * 3)
PIXELS = np.random.default_rng(0).integers(0, 256, (24, 8, 8, 3)).astype(np.uint8)
NORMALISED = HOW.applied(np.moveaxis(PIXELS, 3, 1))
CALIBRATE = CalibrationOptions(CalibrationImages.of(NORMALISED[:12]))
CALIBRATE_ALIKE = CalibrationOptions(
    CalibrationImages.of(ALIKE.applied(np.moveaxis(PIXELS[:12], 3, 1)))
)


def trained() -> torch.nn.Module:
    torch.manual_seed(0)
    return randomize(SmallNet()).eval()


@cache
def converted(pixels: Normalization | None, output: str) -> Conversion:
    options = CompileOptions(precision="int8", pixels=pixels, output=output)
    how, calibrate = (ALIKE, CALIBRATE_ALIKE) if pixels == ALIKE else (HOW, CALIBRATE)
    data = InputSet("real", (how.applied(np.moveaxis(PIXELS[12:], 3, 1)),), 4)
    return convert_module(
        trained(), EXAMPLE, options, calibrate=calibrate, data=data, dense_twin=True
    )


def run(file: bytes, images: NDArray[np.generic]) -> list[NDArray[np.generic]]:
    """Run without the kernels that overflow on some processors."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(file, options)
    return list(session.run(None, {session.get_inputs()[0].name: images}))


def test_pixels_give_what_normalised_images_give_to_the_bit() -> None:
    plain, taken = converted(None, "scores"), converted(HOW, "scores")
    for name in ("model_bytes", "dense_twin"):
        (expected,) = run(getattr(plain, name), NORMALISED)
        (actual,) = run(getattr(taken, name), PIXELS)
        assert np.array_equal(actual, expected)
    assert "before they are rounded" in taken.compiled.pixels_remark


@pytest.mark.parametrize(
    ("output", "ends"), [("scores", set()), ("top-2", {"probabilities", "indices"})]
)
def test_it_is_verified_from_pixels_to_classes_and_its_bill_is_that_of_the_scores(
    output: str, ends: set[str], tmp_path: Path
) -> None:
    conversion = converted(HOW, output)
    found = verify(trained(), conversion.model_bytes)
    assert found.passed, found.diagnosis
    assert found.exact.to_json()["equal"] is True
    assert {name.partition(",")[0] for name in found.agreements} >= {"pixels", "black and white"}
    assert conversion.integers is not None
    assert {"input", *ends} <= {one.layer for one in conversion.integers.between}
    assert conversion.cost == converted(None, "scores").cost
    save_bundle(tmp_path / "bundle", conversion.model_bytes, found.golden)
    golden = read_bundle(tmp_path / "bundle", conversion.model_bytes)
    runtime = open_to_replay(conversion.model_bytes, 1)
    assert combine(replay(golden, runtime)).passed
    given = [list(runtime.run_all(one.arrays, one.batch_size).values()) for one in golden]
    given[0][-1][0, -1] = given[0][-1].max() + 1  # a class that there is not, or a wrong score
    judged = judge_golden(golden, given)
    assert [name for name, one in judged.items() if not one.passed] == [
        list(judged)[len(ends) // 2]
    ]


def test_pixels_are_the_integers_of_the_input_where_all_channels_are_normalised_alike() -> None:
    conversion = converted(ALIKE, "scores")
    model = onnx.load_from_string(conversion.model_bytes)
    first = [node.op_type for node in model.graph.node][:3]
    assert first == ["Transpose", "Pad", "DequantizeLinear"]
    assert conversion.compiled.pixels_remark == "its pixels are the integers of the input"
    found = verify(trained(), conversion.model_bytes)
    assert found.passed, found.diagnosis
    assert found.exact.to_json()["equal"] is True
    assert conversion.integers is not None
    assert "input" in {one.layer for one in conversion.integers.between}
    ends = FileEnds.of(model)
    moved = np.moveaxis(PIXELS, 3, 1)
    for wrong, passes in ((moved, True), (moved[:, ::-1], False), (moved ^ 1, False)):
        (found_in,) = ends.check({"image": PIXELS, "input_quantized": wrong})
        assert (found_in.layer, found_in.passed) == ("input", passes)
    (bare,) = run(without_ends(conversion.model_bytes), ALIKE.applied(np.moveaxis(PIXELS, 3, 1)))
    (taken,) = run(conversion.model_bytes, PIXELS)
    assert np.array_equal(taken, bare)
    assert conversion.cost is not None
    shown = {one.file: one for one in conversion.cost.scores[0].files}
    assert shown["this file"].sqnr_db == pytest.approx(shown["dense twin"].sqnr_db, abs=10)


def test_integers_with_a_sign_are_no_pixels() -> None:
    options = CompileOptions(
        find_target("xnnpack"), precision="int8", pixels=ALIKE, dynamic_batch=False
    )
    conversion = convert_module(trained(), EXAMPLE, options, calibrate=CALIBRATE_ALIKE)
    assert "integers with a sign" in conversion.compiled.pixels_remark
    assert verify(trained(), conversion.model_bytes).passed


@pytest.mark.parametrize(("how", "calibrate"), [(HOW, CALIBRATE), (ALIKE, CALIBRATE_ALIKE)])
def test_pictures_are_scaled_before_they_become_integers(
    how: Normalization, calibrate: CalibrationOptions
) -> None:
    options = CompileOptions(precision="int8", pixels=how, source_size=(20, 13))
    conversion = convert_module(trained(), EXAMPLE, options, calibrate=calibrate)
    resize = conversion.compiled.resize
    assert resize is not None
    pictures = np.random.default_rng(1).integers(0, 256, (4, 20, 13, 3)).astype(np.uint8)
    scaled = how.applied(np.moveaxis(resize.applied(pictures), 3, 1))
    (bare,) = run(without_ends(conversion.model_bytes), scaled)
    (given,) = run(conversion.model_bytes, pictures)
    assert np.array_equal(given, bare)
    found = verify(trained(), conversion.model_bytes)
    assert found.passed, found.diagnosis
    assert found.exact.to_json()["equal"] is True
    assert conversion.integers is not None
    assert "image/resized" in {one.layer for one in conversion.integers.between}


@given(st.floats(0, 1), st.floats(0.01, 2))
def test_one_channel_has_pixels_for_integers_unless_its_mean_is_between_two(
    mean: float, std: float
) -> None:
    how = Normalization((mean,), (std,))
    affine = affine_of_pixels(how, "uint8")
    offset = 255 * mean - round(255 * mean)
    if abs(offset) < 0.49:
        assert affine is not None
    if affine is not None:
        assert affine.zero_point == pytest.approx(255 * mean, abs=0.51)
        levels = np.arange(256)
        numbers = (levels - affine.zero_point) * affine.scale
        # Half a step: that is how far any integers are from what they stand for.
        assert np.abs(numbers - (levels / 255 - mean) / std).max() <= 0.51 * affine.scale
    assert affine_of_pixels(Normalization((mean, mean), (std, 2 * std)), "uint8") is None
    assert affine_of_pixels(how, "int8") is None
    assert affine_of_pixels(Normalization((2.0,), (std,)), "uint8") is None


def test_classes_that_do_not_follow_from_the_scores_are_found() -> None:
    model = onnx.load_from_string(converted(HOW, "top-2").model_bytes)
    classes = FileEnds.of(model)
    assert classes.scores is not None
    scores = np.array([[1.0, 3.0, 2.0, 0.0]], np.float32)
    powers = np.exp(scores.astype(np.float64))
    shares = (powers / powers.sum()).astype(np.float32)
    right = {
        classes.scores: scores,
        "all_probabilities": shares,
        "probabilities": shares[:, [1, 2]],
        "indices": np.array([[1, 2]]),
    }
    assert all(one.passed for one in classes.check(right))
    for name, wrong, at in (
        ("all_probabilities", shares + np.float32(1e-3), 0),
        ("probabilities", shares[:, [1, 0]], 1),
        ("indices", np.array([[1, 0]]), 1),
        ("indices", np.array([[1, 1]]), 1),
        ("probabilities", np.full((1, 2), np.nan, np.float32), 1),
    ):
        checks = classes.check(right | {name: wrong})
        assert [one.passed for one in checks] == [at != 0, at != 1]


def test_arrays_that_are_not_made_of_pixels_are_refused_before_calibration() -> None:
    noise = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)
    options = CompileOptions(precision="int8", pixels=HOW)
    calibrate = CalibrationOptions(CalibrationImages.of(noise))
    with pytest.raises(UsageError, match="checked with pixels"):
        convert_module(trained(), EXAMPLE, options, calibrate=calibrate)


def test_a_limit_on_accuracy_is_held_by_the_scores() -> None:
    options = CompileOptions(precision="int8", pixels=HOW, output="top-2")
    data = InputSet("real", (NORMALISED[12:],), 4)
    held = convert_module(
        trained(), EXAMPLE, options, calibrate=CALIBRATE, data=data, max_drop_points=50
    ).held
    assert held is not None
    assert 0 <= held.drop_points <= 50


def test_the_command_line_takes_it_all_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    training = {"mean": [78.1], "std": [96.3]}
    checkpoint, pictures = tmp_path / "d.pt", tmp_path / "pictures"
    network = randomize(build("lego_digits"))
    write_checkpoint(checkpoint, network, arch="lego_digits", hyperparameters={}, training=training)
    pictures.mkdir()
    for index in range(8):
        grey = np.random.default_rng(index).integers(0, 256, (9, 9)).astype(np.uint8)
        Image.fromarray(grey).save(pictures / f"{index}.png")
    wanted = ("--input", "image", "--precision", "int8", "--data", pictures)
    file, bundle, packed = tmp_path / "d.onnx", tmp_path / "bundle", tmp_path / "d.ort"
    ends = (*wanted, "--output", "probabilities")
    assert legoexport("convert", checkpoint, "--out", file, *ends) == 0
    assert legoexport("convert", checkpoint, "--out", packed, *ends) == 0
    data = ("--data", pictures, "--save-bundle", bundle)
    assert legoexport("verify", checkpoint, file, *data) == 0
    assert legoexport("verify", "--bundle", bundle, file) == 0
    capsys.readouterr()
    assert legoexport("predict", file, pictures / "0.png", "--json") == 0
    (one,) = json.loads(capsys.readouterr().out)["pictures"]
    assert len(one["classes"]) == 5

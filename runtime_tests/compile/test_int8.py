"""convert --precision int8: the file runs in integers and is the network that it claims to be."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from onnx import numpy_helper
from torch import nn

from legoexport.cli import group
from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import Conversion, convert_module
from legoexport.deliver.dense_twin import convert_dense_twin
from legoexport.errors import UsageError
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.registry import build
from legoexport.parity.inputs import InputSet
from legoexport.parity.integer.walk_file import FileWalk, IntegerGraph
from legoexport.parity.verify import verify
from legoexport.passes.lowerings import INT8_LOWERINGS
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from legoexport.target import CPU, TARGETS
from runtime_tests.networks import SmallNet, randomize

EXAMPLE = torch.zeros(1, 3, 8, 8)
IMAGES = np.random.default_rng(0).standard_normal((12, 3, 8, 8)).astype(np.float32)
CALIBRATE = CalibrationOptions(CalibrationImages.of(IMAGES))
WITH_KERNELS = [name for name, target in TARGETS.items() if target.int8_lowerings]


def trained() -> nn.Module:
    """The same network each time."""
    torch.manual_seed(0)
    return randomize(SmallNet())


@cache
def converted(target: str = "cpu", lowering: str | None = None) -> Conversion:
    preset = TARGETS[target]
    if lowering:
        preset = replace(preset, lowerings=(lowering, *preset.lowerings))
    options = CompileOptions(preset, precision="int8")
    return convert_module(trained(), EXAMPLE, options, calibrate=CALIBRATE)


@pytest.mark.parametrize("target", WITH_KERNELS)
def test_every_sum_runs_in_integers_and_every_integer_is_right(target: str) -> None:
    conversion = converted(target)
    assert conversion.computes is not None
    assert conversion.computes.floats == ()
    walked = conversion.integers
    assert walked is not None
    assert [one.layer for one in walked.lego] == ["first", "second", "third"]
    assert all(one.passed and one.largest_step_difference <= 1 for one in walked.layers)


@pytest.mark.parametrize("lowering", INT8_LOWERINGS)
def test_each_lowering_is_rebuilt_to_the_bit_and_proved(lowering: str) -> None:
    conversion = converted("cpu", lowering)
    assert set(conversion.compiled.plan.lowerings.values()) == {lowering}
    found = verify(trained(), conversion.model_bytes)
    assert found.passed
    assert found.exact.reason is None
    assert found.exact.differences == ()
    assert len(found.layers) == 3


def test_fragments_that_use_the_same_filters_are_proved() -> None:
    """ONNX Runtime then merges their weights, which its exact kernels do not take."""
    torch.manual_seed(0)
    layer = LegoConv2d(16, 16, 3, o=2, m=2, padding=1, bias=False)
    network = randomize(nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), layer))
    arm64 = replace(TARGETS["arm64"], lowerings=("int8_per_fragment",))
    options = CompileOptions(arm64, precision="int8")
    conversion = convert_module(network, EXAMPLE, options, calibrate=CALIBRATE)
    assert set(conversion.compiled.plan.lowerings.values()) == {"int8_per_fragment"}
    (frozen,) = (one.frozen for one in conversion.compiled.layers)
    assert all(set(row) == {0, 1} for row in frozen.index), "both fragments use both filters"
    assert conversion.integers is not None
    assert all(one.passed for one in conversion.integers.layers)


@pytest.mark.parametrize("padding", [0, 1])
def test_pools_that_round_up_and_count_padding_are_proved(padding: int) -> None:
    """The default of AvgPool2d(ceil_mode=True), which ONNX Runtime gets wrong in integers."""
    torch.manual_seed(0)
    pool = nn.AvgPool2d(3, 2, padding, ceil_mode=True)
    network = randomize(nn.Sequential(nn.Conv2d(3, 16, 1), pool, LegoConv2d(16, 8, 3, o=2, m=4)))
    options = CompileOptions(CPU, precision="int8")
    conversion = convert_module(network, EXAMPLE, options, calibrate=CALIBRATE)
    assert verify(network, conversion.model_bytes).passed


def test_the_same_images_give_the_same_bytes() -> None:
    options = CompileOptions(CPU, precision="int8")
    again = convert_module(trained(), EXAMPLE, options, calibrate=CALIBRATE)
    assert again.model_bytes == converted().model_bytes


def changed(model_bytes: bytes, ending: str, start: str = "") -> bytes:
    """Change one number of the first initializer whose name ends so."""
    model = onnx.load_from_string(model_bytes)
    tensor = next(
        one
        for one in model.graph.initializer
        if one.name.startswith(start) and one.name.endswith(ending)
    )
    array = numpy_helper.to_array(tensor).copy()
    first = array.reshape(-1)
    first[0] = first[0] * 2 if array.dtype.kind == "f" else (0 if first[0] else 1)
    tensor.CopyFrom(numpy_helper.from_array(first.reshape(array.shape), tensor.name))
    return model.SerializeToString()


@pytest.mark.parametrize(
    "ending",
    ["lego_codes", "map_scale", "merge_codes", "merge_position", "bias_codes", "relu_scale"],
)
def test_a_changed_number_is_noticed(ending: str) -> None:
    found = verify(trained(), changed(converted("cpu", "int8_grouped").model_bytes, ending))
    assert not found.passed
    assert found.exact.differences or found.diagnosis


def test_a_wrong_code_is_found_in_its_layer() -> None:
    conversion = converted("cpu", "int8_grouped")
    model = onnx.load_from_string(changed(conversion.model_bytes, "lego_codes", "second"))
    tables = {layer.layer: layer.frozen for layer in conversion.compiled.layers}
    walk = FileWalk(IntegerGraph(model, tables, unrounded=None))
    found = walk.run(IMAGES, threads=1)
    assert [one.layer for one in found.lego if not one.passed] == ["second"]


def test_a_conversion_walks_what_stands_between_lego_layers_too() -> None:
    walked = converted().integers
    assert walked is not None
    assert [one.layer for one in walked.lego] == list(converted().compiled.plan.lowerings)
    assert walked.between
    assert all(one.passed and one.values_count for one in walked.layers)


def test_the_twin_runs_in_integers_too() -> None:
    options = CompileOptions(CPU, precision="int8")
    twin = onnx.load_from_string(convert_dense_twin(trained(), EXAMPLE, options, CALIBRATE))
    ops = [node.op_type for node in twin.graph.node]
    assert ops.count("Conv") == 4
    assert ops.count("QuantizeLinear") >= 4


def test_core_ml_has_no_kernels() -> None:
    with pytest.raises(UsageError, match="--store fp16"):
        CompileOptions(TARGETS["coreml"], precision="int8")


def test_int8_without_images_is_refused(tmp_path: Path) -> None:
    write_checkpoint(
        tmp_path / "d.pt", build("lego_digits"), arch="lego_digits", hyperparameters={}
    )
    out = tmp_path / "d.onnx"
    arguments = ["convert", str(tmp_path / "d.pt"), "--precision", "int8", "--out", str(out)]
    result = CliRunner().invoke(group, arguments)
    assert isinstance(result.exception, UsageError)
    assert "--precision int8 needs real images" in str(result.exception)
    assert not out.exists()


def test_the_command_calibrates_with_one_half_and_judges_on_the_other(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = randomize(build("lego_digits"))
    write_checkpoint(tmp_path / "d.pt", network, arch="lego_digits", hyperparameters={})
    images = np.random.default_rng(1).standard_normal((9, 1, 8, 8)).astype(np.float32)
    images[8] = images[0]  # one that calibrates already
    np.savez(tmp_path / "i.npz", images=images, labels=np.arange(9))
    out, arguments = tmp_path / "d.onnx", ["convert", str(tmp_path / "d.pt"), "--json"]
    arguments += ["--precision", "int8", "--data", str(tmp_path / "i.npz"), "--out", str(out)]
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["int8"]
    assert found["calibration"]["images_count"] == 4
    assert found["cost"]["scores"][0]["images_count"] == 4
    assert found["in_float"] == []
    metadata = {one.key: one.value for one in onnx.load(out).metadata_props}
    assert metadata["legoexport.precision"] == "int8"
    digest = CalibrationImages.of(images[:4]).sha256
    assert json.loads(metadata["legoexport.calibration"])["images_sha256"] == digest


def test_a_plan_that_was_saved_gives_the_same_file_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = randomize(build("lego_digits"))
    write_checkpoint(tmp_path / "d.pt", network, arch="lego_digits", hyperparameters={})
    images = np.random.default_rng(1).standard_normal((9, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "i.npz", images=images, labels=np.arange(9))
    plan = tmp_path / "plan.json"

    def convert(name: str, *options: str) -> bytes:
        arguments = ["convert", str(tmp_path / "d.pt"), "--out", str(tmp_path / name)]
        arguments += ["--precision", "int8", "--data", str(tmp_path / "i.npz"), *options]
        result = CliRunner().invoke(group, arguments)
        assert result.exit_code == 0, result.output
        return (tmp_path / name).read_bytes()

    small = convert("small.onnx", "--objective", "size", "--save-plan", str(plan))
    assert set(json.loads(plan.read_text())["lowerings"].values()) <= set(INT8_LOWERINGS)
    assert convert("again.onnx", "--plan", str(plan)) == small


def test_a_fixed_batch_that_divides_neither_set_of_images() -> None:
    options = CompileOptions(CPU, precision="int8", dynamic_batch=False)
    data = InputSet("judging", (IMAGES[:9],), 3)
    found = convert_module(
        trained(), torch.zeros(3, 3, 8, 8), options, data=data, calibrate=CALIBRATE
    )
    assert found.cost is not None
    assert len(found.cost.layers) == 5


def test_scales_that_are_given_are_taken() -> None:
    scales = converted().compiled.scales
    options = CompileOptions(CPU, precision="int8", scales=scales)
    found = convert_module(trained(), EXAMPLE, options, calibrate=CALIBRATE)
    assert found.compiled.model == converted().compiled.model


def test_the_command_calibrates_with_training_pictures_and_judges_on_others(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    network = randomize(build("lego_digits"))
    write_checkpoint(tmp_path / "d.pt", network, arch="lego_digits", hyperparameters={})
    arguments = ["convert", str(tmp_path / "d.pt"), "--json", "--precision", "int8"]
    arguments += ["--data", "digits", "--out", str(tmp_path / "d.onnx")]
    result = CliRunner().invoke(group, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["int8"]
    assert found["calibration"]["images_count"] == 512
    assert "test images of digits" in found["cost"]["scores"][0]["name"]

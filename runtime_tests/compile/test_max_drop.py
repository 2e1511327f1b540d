"""--max-drop: layers go back to float until a file in int8 is accurate enough, and it stays so."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from torch import nn

from legoexport.cli import group
from legoexport.compile.stages import CompileOptions
from legoexport.compile.stamp import read_stamp
from legoexport.deliver.convert import Conversion, convert_module
from legoexport.errors import CheckFailed, UsageError
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.parity.inputs import InputSet
from legoexport.parity.verify import verify
from legoexport.passes.lowerings import INT8_LOWERINGS
from legoexport.passes.plan import Plan
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from runtime_tests.networks import SmallNet, randomize

EXAMPLE = torch.zeros(1, 3, 8, 8)
IMAGES = np.random.default_rng(0).standard_normal((40, 3, 8, 8)).astype(np.float32)
# So dark that the ranges of all activations are too narrow for IMAGES.
DARK = CalibrationOptions(CalibrationImages.of(IMAGES[:8] / np.float32(8)))
# Rounding the weights alone loses 12.5 points of so small a network.
MOST = 15.0
INT8 = CompileOptions(precision="int8")


def trained() -> nn.Module:
    """The same network each time; no class is ahead on all images."""
    torch.manual_seed(0)
    network = randomize(SmallNet()).eval()
    with torch.no_grad():
        network.get_parameter("classifier.bias").sub_(scores(network).mean(dim=0))
    return network


def scores(network: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return network(torch.from_numpy(IMAGES))


def classes(network: nn.Module) -> NDArray[np.int64]:
    found = scores(network).argmax(dim=1).numpy()
    assert len(set(found)) > 2
    return found


def judging(network: nn.Module, *, labelled: bool = True) -> InputSet:
    return InputSet("bright", (IMAGES,), 8, classes(network) if labelled else None)


def convert(
    max_drop_points: float | None, options: CompileOptions = INT8, *, labelled: bool = True
) -> Conversion:
    network = trained()
    data = judging(network, labelled=labelled)
    return convert_module(
        network, EXAMPLE, options, data=data, calibrate=DARK, max_drop_points=max_drop_points
    )


@cache
def free() -> Conversion:
    return convert(None)


@cache
def held_file() -> Conversion:
    return convert(MOST)


def right_count(conversion: Conversion) -> int:
    assert conversion.cost is not None
    (scores,) = conversion.cost.scores
    (found,) = [one.right_count for one in scores.files if one.file == "this file"]
    assert found is not None
    return found


def in_float(plan: Plan) -> set[str]:
    lego = {name for name, one in plan.lowerings.items() if one not in INT8_LOWERINGS}
    return lego | set(plan.floats)


def test_the_file_holds_the_limit_and_records_what_went_back() -> None:
    lost = 100 * (len(IMAGES) - right_count(free())) / len(IMAGES)
    held = held_file().held
    assert lost > MOST
    assert held is not None
    assert held.first_drop_points == pytest.approx(lost)
    assert held.drop_points == held.reverted[-1].drop_points <= MOST
    assert 100 * (len(IMAGES) - right_count(held_file())) / len(IMAGES) == held.drop_points
    assert in_float(held_file().compiled.plan) == {one.layer for one in held.reverted}
    assert held_file().compiled.plan.max_drop_points == MOST
    text = read_stamp(onnx.load_from_string(held_file().model_bytes))["plan"]
    stamped = Plan.from_json(text, source="file")
    assert stamped == held_file().compiled.plan


def test_verify_rebuilds_the_file_to_the_bit() -> None:
    found = verify(trained(), held_file().model_bytes)
    assert found.passed, found.diagnosis
    assert (found.exact.reason, found.exact.differences) == (None, ())


def test_the_plan_that_was_saved_gives_the_same_file() -> None:
    plan = Plan.from_json(held_file().compiled.plan.to_json(), source="saved")
    again = convert(None, replace(INT8, plan=plan))
    assert again.model_bytes == held_file().model_bytes
    assert again.held is not None
    assert again.held.reverted == ()


def test_a_plan_without_the_limit_holds_none() -> None:
    plan = replace(held_file().compiled.plan, max_drop_points=None)
    again = convert(None, replace(INT8, plan=plan))
    assert again.held is None
    assert in_float(again.compiled.plan) == in_float(held_file().compiled.plan)


def test_without_labels_it_is_the_class_of_the_trained_network_that_counts() -> None:
    held = convert(MOST, labelled=False).held
    assert held is not None
    # The labels are what the trained network says.
    assert held == held_file().held


def test_a_limit_that_holds_changes_no_layer() -> None:
    found = convert(100.0)
    assert found.held is not None
    assert found.held.reverted == ()
    assert found.compiled.model == free().compiled.model


def test_what_rounding_alone_loses_cannot_be_had_back() -> None:
    with pytest.raises(CheckFailed, match="loses more than --max-drop allows") as raised:
        convert(0.0)
    assert raised.value.exit_code == 1


@pytest.mark.parametrize("limit", [-0.5, float("nan"), float("inf")])
def test_a_limit_is_a_number_of_points(limit: float) -> None:
    with pytest.raises(UsageError, match="from 0 on"):
        convert(limit)


def test_a_limit_without_anything_to_hold_to_it() -> None:
    with pytest.raises(UsageError, match="precision fp32"):
        convert(0.5, CompileOptions())
    with pytest.raises(UsageError, match="no images to judge on"):
        convert_module(trained(), EXAMPLE, INT8, calibrate=DARK, max_drop_points=0.5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint, and images of which those that calibrate are dark."""
    torch.manual_seed(0)
    network = randomize(build("lego_digits"))
    write_checkpoint(tmp_path / "d.pt", network, arch="lego_digits", hyperparameters={})
    images = np.random.default_rng(1).standard_normal((48, 1, 8, 8)).astype(np.float32)
    images[:24] /= 50
    np.save(tmp_path / "i.npy", images)
    return tmp_path


def run(folder: Path, *words: str) -> Result:
    arguments = ["convert", str(folder / "d.pt"), "--data", str(folder / "i.npy"), *words]
    return CliRunner().invoke(group, [*arguments, "--out", str(folder / "d.onnx")])


def test_the_command_gives_layers_back_and_its_plan_gives_the_file_back(folder: Path) -> None:
    plan = str(folder / "plan.json")
    result = run(folder, "--precision", "int8", "--max-drop", "5", "--save-plan", plan, "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)["int8"]["max_drop"]
    assert found["first_drop_points"] > 5 >= found["drop_points"]
    assert found["reverted"][-1]["drop_points"] == found["drop_points"]
    first = (folder / "d.onnx").read_bytes()
    result = run(folder, "--precision", "int8", "--plan", plan)
    assert result.exit_code == 0, result.output
    assert (folder / "d.onnx").read_bytes() == first
    assert f"{found['drop_points']:.2f} percentage points lost of at most 5" in result.output


def test_the_command_prints_what_went_back(folder: Path) -> None:
    result = run(folder, "--precision", "int8", "--max-drop", "5")
    assert result.exit_code == 0, result.output
    assert "Layers that went back to float" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--precision", "int8", "--max-drop", "-1"], "--max-drop(.|\n)*from 0 on"),
        (["--precision", "int8", "--max-drop", "nan"], "--max-drop(.|\n)*from 0 on"),
        (["--store", "int8", "--max-drop", "1"], "--max-drop limits what int8 loses"),
    ],
)
def test_what_cannot_be_is_refused_and_no_file_is_touched(
    folder: Path, words: list[str], message: str
) -> None:
    (folder / "d.onnx").write_bytes(b"older")
    result = run(folder, *words, "--force")
    assert isinstance(result.exception, UsageError)
    assert result.exception.exit_code == 2
    with pytest.raises(UsageError, match=message):
        raise result.exception
    assert (folder / "d.onnx").read_bytes() == b"older"

"""verify of an int8 file on other runtimes: the same integers, or the layer that is at fault."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from legoexport.errors import CheckFailed
from legoexport.measure.options import BenchOptions
from legoexport.measure.run import compare
from legoexport.parity.integer.elsewhere import STEPS_IN_FLOAT, IntegersElsewhere
from legoexport.parity.verification import Verification
from legoexport.parity.verify import verify
from legoexport.runtimes import Feed, PlacedNode, Replay, find_runtime, find_runtimes
from runtime_tests.runtimes.int8_files import (
    BATCH,
    IMAGES,
    LEGO_LAYERS,
    changed,
    converted,
    trained,
)

IN_FLOAT = (PlacedNode("conv", "Conv", "CPUExecutionProvider"),)
# The integers that layer "third" leaves, and a number well within them.
AFTER_THIRD, MIDDLE = "relu_3_quantized", 100
# A runtime, and a target whose integers it has kernels for.
PAIRS = [("xnnpack", "xnnpack"), ("wasm", "web"), ("wasm", "cpu")]


@dataclass(frozen=True)
class Erring:
    """This process, but the first of some integers is off, or the result of the file itself."""

    integers: str = ""
    steps: int = 0
    result_error: float = 0.0
    placement: tuple[PlacedNode, ...] = ()
    name: str = "erring"

    def run(self, model_bytes: bytes, feeds: Sequence[Feed]) -> Replay:
        replay = find_runtime("cpu").run(model_bytes, feeds)
        values = [{name: array.copy() for name, array in one.items()} for one in replay.values]
        for one in values:
            first, *exposed = one
            one[first] += np.float32(self.result_error * (not exposed))
            if self.integers in exposed:
                array = one[self.integers]
                array.flat[0] += self.steps if array.flat[0] < MIDDLE else -self.steps
        return Replay.of(values, feeds, self.placement, "erring 1.0")


def verified(runtime: Erring) -> tuple[Verification, IntegersElsewhere]:
    found = verify(trained(), converted("cpu").model_bytes, data=IMAGES, elsewhere=[runtime])
    (elsewhere,) = found.elsewhere
    return found, elsewhere


def test_a_runtime_that_gives_the_same_integers_passes() -> None:
    found, elsewhere = verified(Erring())
    assert found.passed
    assert [one.layer for one in elsewhere.walked.lego] == [*LEGO_LAYERS]
    assert elsewhere.allowed_steps == 0
    assert elsewhere.walked.between
    assert "erring: 8 of 8 layers give the right integers (0 steps allowed)" in str(elsewhere)
    assert found.to_json()["integers"][0]["passed"] is True


def test_one_wrong_integer_elsewhere_fails_and_its_layer_is_named() -> None:
    found, elsewhere = verified(Erring(AFTER_THIRD, steps=1))
    assert not found.passed
    assert all(one.passed for one in found.layers), "it is right in this process"
    assert [one.layer for one in elsewhere.walked.lego if not one.passed] == ["third"]
    assert found.diagnosis[0].startswith("on erring, first at fault: third")


@pytest.mark.parametrize("steps", [STEPS_IN_FLOAT, STEPS_IN_FLOAT + 1])
def test_what_is_computed_in_float_may_be_one_step_off_and_no_more(steps: int) -> None:
    found, elsewhere = verified(Erring(AFTER_THIRD, steps, placement=IN_FLOAT))
    assert elsewhere.allowed_steps == STEPS_IN_FLOAT
    assert found.passed is (steps == STEPS_IN_FLOAT)
    assert sum(one.wrong_count for one in elsewhere.walked.layers) > 0


def test_another_result_than_that_of_the_walk_fails() -> None:
    found, elsewhere = verified(Erring(result_error=1e-3))
    assert not found.passed
    assert elsewhere.outputs_differing_count > 0
    assert "not what users run" in found.diagnosis[0]


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_node")
@pytest.mark.parametrize(("name", "target"), PAIRS)
def test_every_integer_is_right_on_the_web(name: str, target: str) -> None:
    runtime = find_runtime(name)
    found = verify(trained(), converted(target).model_bytes, data=IMAGES, elsewhere=[runtime])
    assert found.passed, found.diagnosis
    (elsewhere,) = found.elsewhere
    assert (elsewhere.floats_count, elsewhere.outputs_differing_count) == (0, 0)
    (replay,) = found.replays
    convolutions = [one for one in replay.placement if one.op == "QLinearConv"]
    provider = {"xnnpack": "XnnpackExecutionProvider", "wasm": "CPUExecutionProvider"}[name]
    assert {one.provider for one in convolutions} == {provider}


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_node")
def test_signed_integers_are_computed_in_float_on_wasm() -> None:
    model_bytes = converted("xnnpack").model_bytes
    found = verify(trained(), model_bytes, data=IMAGES, elsewhere=[find_runtime("wasm")])
    assert found.passed, found.diagnosis
    assert found.elsewhere[0].floats_count > 0
    assert "nodes sum in float there" in str(found.elsewhere[0])


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_node")
def test_unsigned_integers_are_not_called_verified_on_xnnpack() -> None:
    model_bytes = converted("web").model_bytes
    with pytest.raises(CheckFailed, match="no node of the model runs") as caught:
        verify(trained(), model_bytes, elsewhere=[find_runtime("xnnpack")])
    assert "--target xnnpack" in str(caught.value)


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_node")
@pytest.mark.parametrize("ending", ["lego_codes", "merge_position"])
def test_a_changed_table_is_found_there_too(ending: str) -> None:
    wrong = changed(converted("xnnpack").model_bytes, "second", ending)
    found = verify(trained(), wrong, data=IMAGES, elsewhere=[find_runtime("xnnpack")])
    assert not found.passed
    (elsewhere,) = found.elsewhere
    assert [one.layer for one in elsewhere.walked.lego if not one.passed] == ["second"]
    assert any(cause.startswith("on xnnpack, first at fault: second") for cause in found.diagnosis)


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_arm64")
@pytest.mark.parametrize("target", ["arm64", "xnnpack"])
def test_every_integer_is_right_on_arm64(target: str) -> None:
    runtimes = find_runtimes("arm64")
    found = verify(trained(), converted(target).model_bytes, data=IMAGES, elsewhere=runtimes)
    assert found.passed, found.diagnosis
    assert [one.name for one in found.elsewhere] == [one.name for one in runtimes]
    assert all(one.outputs_differing_count == 0 for one in found.elsewhere)


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_arm64")
def test_a_changed_table_is_found_on_arm64() -> None:
    wrong = changed(converted("arm64").model_bytes, "second", "lego_codes")
    (runtime,) = find_runtimes("arm64:neoverse-n1")
    found = verify(trained(), wrong, data=IMAGES, elsewhere=[runtime])
    assert any("on arm64:neoverse-n1, first at fault: second" in one for one in found.diagnosis)


@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_node")
@pytest.mark.parametrize(("name", "target"), PAIRS[:2])
def test_two_files_are_measured_in_turns(tmp_path: Path, name: str, target: str) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(converted(target).model_bytes)
    options = BenchOptions(threads=1, batch_size=BATCH, duration_s=0.2, runtime=name)
    found = compare(path, path, options)
    operators = {part.op for part in found.timing.placement}
    assert "QLinearConv" in operators
    assert found.speedup.estimate_ratio > 0

"""onnxruntime-web in Node: the same outputs as here, on the provider that was asked for."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from legoexport.errors import CheckFailed, UsageError
from legoexport.ort.session import RuntimeModel
from legoexport.runtimes import Feed, find_runtime
from legoexport.runtimes.view import convolutions_line
from runtime_tests.parity.networks import INPUT_SHAPE, convert, converted, small_net

pytestmark = pytest.mark.usefixtures("needs_node")

IMAGES = np.random.default_rng(0).standard_normal((6, *INPUT_SHAPE)).astype(np.float32)
# Float32 sums of some hundred products in another order, over a few layers.
CLOSE = 2e-6


@lru_cache
def fixed(batch: int) -> bytes:
    """The small network with a fixed batch."""
    return convert(small_net(), "grouped", batch=batch).model.SerializeToString()


def conv_model(*, batch: int | str) -> onnx.ModelProto:
    """One convolution that keeps the size of the map."""
    rng = np.random.default_rng(1)
    weight = numpy_helper.from_array(rng.standard_normal((4, 3, 3, 3)).astype(np.float32), "w")
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv", pads=[1] * 4)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *INPUT_SHAPE])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 4, *INPUT_SHAPE[1:]])
    graph = helper.make_graph([node], "g", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(actual - expected).max() / np.ptp(expected))


@pytest.mark.parametrize("name", ["wasm", "xnnpack"])
def test_outputs_are_those_of_this_process(name: str) -> None:
    feeds = [Feed(IMAGES, 2), Feed(IMAGES[::-1].copy(), 2)]
    replay = find_runtime(name).run(fixed(2), feeds)
    here = RuntimeModel(fixed(2), 1)
    for feed, outputs in zip(feeds, replay.outputs, strict=True):
        assert relative_error(outputs, here.run(feed.images, 2)) <= CLOSE
    provider = {"wasm": "cpu", "xnnpack": "xnnpack"}[name]
    assert convolutions_line(replay.placement) == f"all 7 convolutions ran on {provider}"
    assert replay.runtime.startswith(f"{name} of onnxruntime-web 1.16.3 in Node ")


def test_wasm_takes_an_open_batch() -> None:
    model_bytes = converted().model.SerializeToString()
    (outputs,) = find_runtime("wasm").run(model_bytes, [Feed(IMAGES, 4)]).outputs
    assert relative_error(outputs, RuntimeModel(model_bytes, 1).run(IMAGES, 4)) <= CLOSE


def test_xnnpack_leaves_no_image_of_an_open_batch_out() -> None:
    model_bytes = converted().model.SerializeToString()
    (outputs,) = find_runtime("xnnpack").run(model_bytes, [Feed(IMAGES, 1)]).outputs
    assert relative_error(outputs, RuntimeModel(model_bytes, 1).run(IMAGES, 1)) <= CLOSE
    with pytest.raises(CheckFailed, match="1 output for 3 images") as caught:
        find_runtime("xnnpack").run(model_bytes, [Feed(IMAGES, 3)])
    assert "convert --batch 3" in str(caught.value)


def test_an_output_of_maps_keeps_its_shape() -> None:
    model_bytes = conv_model(batch="N").SerializeToString()
    (outputs,) = find_runtime("xnnpack").run(model_bytes, [Feed(IMAGES, 3)]).outputs
    assert outputs.shape == (6, 4, 12, 12)
    assert relative_error(outputs, RuntimeModel(model_bytes, 1).run(IMAGES, 3)) <= CLOSE


def test_a_model_that_xnnpack_runs_nothing_of_is_not_called_verified() -> None:
    model = conv_model(batch=1)
    model.graph.node[0].CopyFrom(helper.make_node("Neg", ["x"], ["y"]))
    del model.graph.initializer[:]
    model.graph.output[0].CopyFrom(model.graph.input[0])
    model.graph.output[0].name = "y"
    model_bytes = model.SerializeToString()
    (outputs,) = find_runtime("wasm").run(model_bytes, [Feed(IMAGES, 1)]).outputs
    assert np.array_equal(outputs, -IMAGES)
    with pytest.raises(CheckFailed, match="no node of the model runs on Xnnpack"):
        find_runtime("xnnpack").run(model_bytes, [Feed(IMAGES, 1)])


def test_what_the_runtime_does_not_load_is_the_file_s_fault() -> None:
    model = conv_model(batch=1)
    model.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(UsageError, match="does not explain"):
        find_runtime("wasm").run(model.SerializeToString(), [Feed(IMAGES, 1)])


def test_a_run_that_fails_says_why() -> None:
    with pytest.raises(CheckFailed, match="Got: 3 Expected: 2"):
        find_runtime("wasm").run(fixed(2), [Feed(IMAGES, 3)])


def test_the_first_output_is_the_one_in_this_process_too() -> None:
    model = conv_model(batch=1)
    extra = helper.make_node("Neg", ["y"], ["a_before_y_in_the_alphabet"])
    model.graph.node.append(extra)
    model.graph.output.append(model.graph.output[0])
    model.graph.output[1].name = extra.output[0]
    model_bytes = model.SerializeToString()
    (outputs,) = find_runtime("wasm").run(model_bytes, [Feed(IMAGES, 1)]).outputs
    assert relative_error(outputs, RuntimeModel(model_bytes, 1).run(IMAGES, 1)) <= CLOSE

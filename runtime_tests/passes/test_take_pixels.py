"""A network takes pixels: the normalization is inside, in weights only where that is exact."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from legoexport.lego.normalization import Normalization
from legoexport.passes.take_pixels import TakePixels
from runtime_tests.reference import convolve

SIZE = (6, 5)
# Of the sum of absolute products: 27 products, each of weights and pixels that were rounded.
TOLERANCE = 32 * float(np.finfo(np.float32).eps)


def network(weight: Any, bias: Any, pads: int, groups: int = 1, readers: int = 1) -> ir.Model:
    """A convolution of a float image, with as many other readers of the image as asked for."""
    channels = weight.shape[1] * groups
    nodes = [helper.make_node("Conv", ["input", "w", "b"], ["y"], pads=[pads] * 4, group=groups)]
    nodes += [helper.make_node("Relu", ["input"], [f"r{i}"]) for i in range(readers - 1)]
    outputs = ["y", *(f"r{i}" for i in range(readers - 1))]
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "one",
        [helper.make_tensor_value_info("input", kind, ["batch", channels, *SIZE])],
        [helper.make_tensor_value_info(name, kind, [None] * 4) for name in outputs],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")],
    )
    opsets = [helper.make_opsetid("", 17)]
    return ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=8))


def taken(model: ir.Model, how: Normalization, *, folds: bool = True) -> tuple[Any, TakePixels]:
    rewrite = TakePixels(how, folds=folds)
    proto = ir.to_proto(rewrite(model).model)
    onnx.checker.check_model(proto, full_check=True)
    return proto, rewrite


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    channels=st.sampled_from([1, 3]),
    pads=st.integers(0, 2),
    folds=st.booleans(),
)
def test_it_computes_the_normalised_convolution(
    seed: int, channels: int, pads: int, folds: bool
) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((4, channels, 3, 3)).astype(np.float32)
    bias = rng.standard_normal(4).astype(np.float32)
    how = Normalization(tuple(rng.uniform(0, 1, channels)), tuple(rng.uniform(0.05, 1, channels)))
    proto, _ = taken(network(weight, bias, pads), how, folds=folds)
    assert [one.name for one in proto.graph.input] == ["image"]
    pixels = rng.integers(0, 256, (2, *SIZE, channels)).astype(np.uint8)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    (y,) = session.run(None, {"image": pixels})
    # In float64, with the mean and deviation that training rounds to float32.
    mean, std = (np.float32(255 * np.array(one)).astype(float) for one in (how.mean, how.std))
    image = np.moveaxis((pixels - mean) / std, 3, 1)
    w, b = weight.astype(np.float64), bias.astype(np.float64)
    geometry = ((1, 1), (pads, pads), (1, 1))
    exact = convolve(image, w, *geometry) + b.reshape(1, -1, 1, 1)
    # A mean in the bias sums pixels, and not their distance from the mean.
    levels = np.moveaxis((pixels + mean) / std, 3, 1)
    magnitude = convolve(levels, np.abs(w), *geometry).max() + np.abs(b).max()
    assert np.abs(y - exact).max() <= TOLERANCE * magnitude


def test_weights_are_divided_in_float64_and_rounded_once() -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((2, 3, 3, 3)).astype(np.float32), np.zeros(2, np.float32)
    how = Normalization((0.1, 0.2, 0.3), (0.3, 0.5, 0.7))
    proto, _ = taken(network(weight, bias, 1), how)
    held = {one.name: numpy_helper.to_array(one) for one in proto.graph.initializer}
    std = np.float32(255 * np.array(how.std)).astype(np.float64).reshape(1, 3, 1, 1)
    assert np.array_equal(held["w"], (weight / std).astype(np.float32))
    assert np.array_equal(held["image/mean"].ravel(), np.float32(255 * np.array(how.mean)))
    assert np.array_equal(held["b"], bias)


@pytest.mark.parametrize(
    ("pads", "changes", "expected", "remark"),
    [
        (0, {}, ["Transpose", "Cast", "Conv"], "w and its bias"),
        (1, {}, ["Transpose", "Cast", "Sub", "Conv"], "zeros are padded"),
        (0, {"groups": 3}, ["Transpose", "Cast", "Sub", "Div", "Conv"], "two nodes"),
        (0, {"readers": 2}, ["Transpose", "Cast", "Sub", "Div", "Conv", "Relu"], "two nodes"),
    ],
)
def test_it_folds_where_that_is_exact_and_says_what_it_did(
    pads: int, changes: dict[str, int], expected: list[str], remark: str
) -> None:
    weight = np.ones((3, 3 // changes.get("groups", 1), 3, 3), np.float32)
    how = Normalization((0.5,) * 3, (0.2,) * 3)
    proto, rewrite = taken(network(weight, np.ones(3, np.float32), pads, **changes), how)
    assert operators(proto) == expected
    assert remark in rewrite.remark


def test_weights_that_may_not_change_do_not() -> None:
    weight, bias = np.ones((2, 1, 3, 3), np.float32), np.ones(2, np.float32)
    proto, _ = taken(network(weight, bias, 0), Normalization((0.5,), (0.2,)), folds=False)
    assert operators(proto) == ["Transpose", "Cast", "Sub", "Div", "Conv"]
    assert all((numpy_helper.to_array(one) == 1).all() for one in proto.graph.initializer[:2])

"""One step of the last integers moves outputs by no more than is said, and nearly by that."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from legoexport.parity.integer.last_step import last_step

FEATURES, CLASSES, SCALE = 6, 4, 0.125
# What float64 loses in a sum of few numbers.
SLACK = 1e-9


def graph_of(codes: NDArray[np.int8], scales: NDArray[np.float32], ending: str) -> onnx.GraphProto:
    """Integers, as numbers; their sums; and what ``ending`` makes of those."""
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "scale"], ["x"]),
        helper.make_node("DequantizeLinear", ["codes", "scales"], ["weight"], axis=0),
        helper.make_node("Gemm", ["x", "weight"], ["scores"], transB=1),
        helper.make_node("Softmax", ["scores"], ["shares"]),
        helper.make_node("TopK", ["shares", "count"], ["top", "indices"]),
        helper.make_node("Relu", ["scores"], ["clamped"]),
    ]
    constants = {"codes": codes, "scales": scales, "scale": np.float32(SCALE)}
    return helper.make_graph(
        nodes,
        "ending",
        [helper.make_tensor_value_info("q", TensorProto.UINT8, [1, FEATURES])],
        [onnx.ValueInfoProto(name=ending)],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()],
    )


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return shares


@given(st.integers(0, 10_000))
def test_no_step_of_the_integers_moves_outputs_by_more(seed: int) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(-127, 128, (CLASSES, FEATURES)).astype(np.int8)
    scales = rng.uniform(1e-3, 1e-2, CLASSES).astype(np.float32)
    weight = codes * scales[:, None].astype(np.float64)
    integers = rng.integers(1, 255, (1, FEATURES))
    aligned = np.sign(codes[np.abs(weight).sum(axis=1).argmax()])
    steps = np.vstack([rng.integers(-1, 2, (50, FEATURES)), aligned])
    before, after = (SCALE * one @ weight.T for one in (integers, integers + steps))
    moved = np.abs(after - before)
    limit = last_step(graph_of(codes, scales, "scores"), "scores")
    assert limit == pytest.approx(moved.max(), rel=1e-6), "some step of all reaches it"
    shares = last_step(graph_of(codes, scales, "shares"), "shares")
    assert shares is not None
    assert np.abs(softmax(after) - softmax(before)).max() <= shares + SLACK
    assert last_step(graph_of(codes, scales, "top"), "top") == shares


def test_what_is_rounded_last_moves_by_its_scale_and_others_are_unknown() -> None:
    codes, scales = np.ones((CLASSES, FEATURES), np.int8), np.ones(CLASSES, np.float32)
    graph = graph_of(codes, scales, "x")
    assert last_step(graph, "x") == SCALE
    assert last_step(graph, "clamped") is None
    assert last_step(graph, "q") is None

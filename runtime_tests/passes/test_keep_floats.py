"""Keeping floats: before and after as ONNX text, and what ONNX Runtime makes of both."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from legoexport.ort.optimized import optimized_nodes
from legoexport.passes.keep_floats import KeepFloats
from runtime_tests.passes.text import declined, numbers, parse, rewritten

STEP = 0.1
CONSTANTS = f"float s = {{0.05}}, uint8 z = {{0}}, float t = {{{STEP}}}, float[2, 2, 1, 1] w"
ENTERS = "q = QuantizeLinear (x, s, z) v = DequantizeLinear (q, s, z)"
LEAVES = "r = QuantizeLinear (h, t, z) y = DequantizeLinear (r, t, z)"
BEHIND = {
    "directly": "h = Conv (v, w)",
    "clamped": "g = Conv (v, w) h = Relu (g)",
    "moved": "g = Conv (v, w) f = Relu (g) h = MaxPool <kernel_shape = [2, 2]> (f)",
}


def network(middle: str, constants: str = CONSTANTS) -> str:
    header = f"(float[batch, 2, 3, 3] x) => (float y) <{constants}>"
    return f"{header} {{ {ENTERS} {middle} {LEAVES} }}"


def defined(text: str) -> NDArray[np.float32]:
    """What the definitions of the operators (onnx has those of opset 21) give for ``numbers``."""
    x = np.random.default_rng(7).standard_normal((2, 2, 3, 3)).astype(np.float32)
    (y,) = ReferenceEvaluator(ir.to_proto(parse(text, opset=21))).run(None, {"x": x})
    return np.asarray(y)


def operators(text: str, *, hold: bool) -> set[str]:
    """The operators that ONNX Runtime runs."""
    model = parse(text)
    held = KeepFloats()(model).model if hold else model
    return {node.op for node in optimized_nodes(ir.to_proto(held).SerializeToString())}


@pytest.mark.parametrize("middle", BEHIND.values(), ids=BEHIND)
def test_a_sum_between_integers_is_held(middle: str) -> None:
    lowest = float(np.finfo(np.float32).min)
    held = middle.replace("Conv (v, w)", "Max (c, lowest)")
    after = network(f"c = Conv (v, w) {held}", f"{CONSTANTS}, float lowest = {{{lowest}}}")
    model = rewritten(KeepFloats(), parse(network(middle)), after)
    # float32 sums in another order may lie on the other side of a tie: one step.
    np.testing.assert_allclose(numbers(model), defined(network(middle)), rtol=0, atol=STEP * 1.01)


@pytest.mark.parametrize("middle", BEHIND.values(), ids=BEHIND)
def test_onnx_runtime_would_take_it_and_leaves_it_when_it_is_held(middle: str) -> None:
    assert "QLinearConv" in operators(network(middle), hold=False)
    assert "QLinearConv" not in operators(network(middle), hold=True)


def test_a_transposed_convolution_keeps_its_weights() -> None:
    text = network("h = ConvTranspose (v, w)", f"{CONSTANTS} = {{100.0, 0.3, 100.0, 0.3}}")
    held = KeepFloats()(parse(text)).model
    np.testing.assert_allclose(numbers(held), defined(text), rtol=0, atol=STEP * 1.01)
    # Those of the input and of the output; ONNX Runtime would make one for the weights too.
    counts = [
        sum(
            node.op == "DequantizeLinear"
            for node in optimized_nodes(ir.to_proto(one).SerializeToString())
        )
        for one in (held, parse(text))
    ]
    assert counts == [2, 3]


UP = "strides = [2, 2], ceil_mode = 1, count_include_pad = 1"
POOLS = {
    "directly": f"h = AveragePool <kernel_shape = [2, 2], {UP}> (v)",
    "with padding": f"h = AveragePool <kernel_shape = [3, 3], {UP}, pads = [1, 1, 0, 0]> (v)",
    "clamped": f"g = AveragePool <kernel_shape = [2, 2], {UP}> (v) h = Relu (g)",
}


@pytest.mark.parametrize("middle", POOLS.values(), ids=POOLS)
def test_a_pool_that_counts_what_lies_behind_it_is_held(middle: str) -> None:
    wrong, lowest = network(middle), float(np.finfo(np.float32).min)
    made = middle[0]  # the name of the pool's output
    held = f"c{middle[1:]}".replace("(v)", f"(v) {made} = Max (c, lowest)")
    after = network(held, f"{CONSTANTS}, float lowest = {{{lowest}}}")
    model = rewritten(KeepFloats(), parse(wrong), after)
    # A mean of integers may be a tie, which float32 takes either way: one step.
    np.testing.assert_allclose(numbers(model), defined(wrong), rtol=0, atol=STEP * 1.01)
    # Why: in integers ONNX Runtime is off by more. If this fails, it has mended its kernel.
    assert np.abs(numbers(parse(wrong)) - defined(wrong)).max() > STEP * 1.01
    assert {"QLinearAveragePool"} == operators(wrong, hold=False) - operators(wrong, hold=True)


@pytest.mark.parametrize(
    "middle",
    [
        "h = AveragePool <kernel_shape = [2, 2], ceil_mode = 1> (v)",
        "h = AveragePool <kernel_shape = [2, 2], count_include_pad = 1> (v)",
    ],
    ids=["rounded up", "padding counts"],
)
def test_a_pool_that_asks_for_one_of_both_is_right_in_integers(middle: str) -> None:
    text = network(middle)
    declined(KeepFloats(), parse(text))
    np.testing.assert_allclose(numbers(parse(text)), defined(text), rtol=0, atol=STEP * 1.01)


@pytest.mark.parametrize(
    "middle",
    [
        "k = DequantizeLinear (codes, s) h = Conv (v, k)",
        "g = Conv (v, w) h = Add (g, s)",
        "h = Conv (x, w)",
    ],
    ids=["a weight of integers", "other arithmetic behind it", "no integers before it"],
)
def test_other_sums_stay(middle: str) -> None:
    declined(KeepFloats(), parse(network(middle, f"{CONSTANTS}, int8[2, 2, 1, 1] codes")))

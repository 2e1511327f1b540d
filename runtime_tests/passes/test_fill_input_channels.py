"""Filling input channels: before and after as ONNX text, and integers equal to the bit."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.passes.fill_input_channels import FillInputChannels
from legoexport.passes.quantize_activations import is_dequantized
from runtime_tests.layers import run
from runtime_tests.passes.text import declined, parse, rewritten

CONSTANTS = "float s = {0.02}, uint8 z = {7}, float t = {0.05}, uint8 y0 = {9}, "


def layer(codes: np.ndarray, attributes: str = "", filled: int = 0, weight: str = "w") -> str:
    """A convolution from integers to integers; ``filled`` channels are added to what it reads."""
    outputs, channels = codes.shape[:2]
    listed = ", ".join(map(str, codes.ravel()))
    held = (
        f"int8[{', '.join(map(str, codes.shape))}] c = {{{listed}}}, "
        f"float[{outputs}] u, int8[{outputs}] v = {{{', '.join('0' * outputs)}}}"
    )
    pads = f", int64[8] e = {{0, 0, 0, 0, 0, {filled}, 0, 0}}" if filled else ""
    pad = "f = Pad (q, e, z)" if filled else ""
    integers = "f" if filled else "q"
    return (
        f"(float[batch, {channels - filled}, 5, 6] image) => (uint8 y) <{CONSTANTS}{held}{pads}> {{"
        f" q = QuantizeLinear (image, s, z) {pad} n = DequantizeLinear ({integers}, s, z)"
        f" w = DequantizeLinear <axis = 0> (c, u, v) h = Conv <{attributes}> (n, {weight})"
        " y = QuantizeLinear (h, t, y0) }"
    ).replace(" <>", "")


def codes_of(outputs: int, channels: int, kernel: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(-127, 128, (outputs, channels, kernel, kernel)).astype(np.int8)


def integers(model: ir.Model) -> np.ndarray:
    shape = [one if isinstance(one, int) else 2 for one in model.graph.inputs[0].shape or ()]
    # Pixels darker and brighter than the integers reach, too.
    image = np.random.default_rng(1).uniform(-1, 6, shape).astype(np.float32)
    return run(model, image)


def test_a_convolution_of_three_channels_reads_four() -> None:
    codes = codes_of(16, 3)
    after = layer(np.pad(codes, [(0, 0), (0, 1), (0, 0), (0, 0)]), filled=1)
    model = rewritten(FillInputChannels(), parse(layer(codes)), after)
    np.testing.assert_array_equal(integers(model), integers(parse(layer(codes))))


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([16, 24, 64]),
    st.integers(1, 11).filter(lambda channels: channels % 4),
    st.sampled_from([1, 3, 5]),
    st.integers(1, 2),
    st.integers(0, 2),
    st.integers(1, 2),
)
def test_every_integer_stays_as_it_is(  # noqa: PLR0917 - the axes of a convolution
    outputs: int, channels: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    if dilation * (kernel - 1) >= 5 + padding:
        return
    window = (
        f"strides = [{stride}, {stride}], dilations = [{dilation}, {dilation}], "
        f"pads = [{padding}, {padding}, 0, {padding}]"
    )
    codes = codes_of(outputs, channels, kernel)
    before, model = parse(layer(codes, window)), parse(layer(codes, window))
    assert FillInputChannels()(model).modified
    conv = next(node for node in model.graph if node.op_type == "Conv")
    assert is_dequantized(conv.inputs[0])
    assert conv.inputs[0] is not None
    assert conv.inputs[0].shape is not None
    assert conv.inputs[0].shape[1] == -(-channels // 4) * 4
    np.testing.assert_array_equal(integers(model), integers(before))


@pytest.mark.parametrize(
    ("outputs", "channels", "attributes"),
    [(16, 4, ""), (16, 8, ""), (8, 3, ""), (20, 3, ""), (16, 3, "group = 2")],
    ids=["four", "eight", "few outputs", "outputs in no whole eights", "groups"],
)
def test_what_no_fast_kernel_would_take_stays(outputs: int, channels: int, attributes: str) -> None:
    codes = codes_of(outputs, channels // 2 if "group" in attributes else channels)
    declined(FillInputChannels(), parse(layer(codes, attributes)))


def test_computed_codes_stay() -> None:
    text = layer(codes_of(16, 3)).replace("(c, u, v)", "(d, u, v)")
    text = text.replace("{ q =", "{ d = Neg (c) q =")
    declined(FillInputChannels(), parse(text))


def test_an_input_that_something_else_reads_stays() -> None:
    text = layer(codes_of(16, 3)).replace("h = Conv", "r = Relu (n) h = Conv")
    declined(FillInputChannels(), parse(text.replace("(uint8 y)", "(uint8 y, float r)")))


def test_a_convolution_of_floats_stays() -> None:
    text = layer(codes_of(16, 3), weight="float_weight")
    held = "float[16, 3, 1, 1] float_weight, float[16] u"
    declined(FillInputChannels(), parse(text.replace("float[16] u", held)))

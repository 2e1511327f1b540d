"""The integers of a quantized layer, as this room states them, are those of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional as F

from legoexport.lego.frozen import FrozenLego
from legoexport.lego.scales import LIMITS, ActivationType, Affine
from legoexport.parity.integer.arithmetic import Window, convolve, requantize, settle
from legoexport.parity.integer.check import compare
from legoexport.parity.integer.dense_layer import IntegerDense
from runtime_tests.layers import LayerCase, layer_cases
from runtime_tests.parity.integer_cases import CASE, X, check, of_lego, range_of
from runtime_tests.parity.qdq import (
    EXACT,
    SIGNED,
    dense_model,
    run,
    session_of,
)

EXAMPLES = 25


@st.composite
def windows(draw: st.DrawFn, group: int) -> Window:
    pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
    pads = st.tuples(st.integers(0, 2), st.integers(0, 2))
    return Window(draw(pair), draw(pads), draw(pads), draw(pair), group)


@st.composite
def dense_layers(draw: st.DrawFn) -> tuple[IntegerDense, Affine, NDArray[np.float32]]:
    """A Conv of any geometry or a Gemm, the integers that it reads, and an input."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    group = draw(st.sampled_from([1, 1, 2, 3]))
    channels, n = draw(st.integers(1, 9)), group * draw(st.integers(1, 6))
    largest = draw(st.sampled_from([64, 127]))
    dtype = draw(st.sampled_from(tuple(LIMITS)))
    x = Affine.of_range(-2, draw(st.sampled_from([0.0, 3.0])), dtype)
    bias = rng.standard_normal(n) * draw(st.sampled_from([0, 1, 30]))
    if draw(st.booleans()):
        kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
        weight = rng.standard_normal((n, channels, *kernel))
        dense = IntegerDense.of(weight, bias, draw(windows(group)), x, largest)
        shape: tuple[int, ...] = (2, group * channels, 8, 7)
    else:
        weight = rng.standard_normal((n, channels))
        dense = IntegerDense.of(weight, bias, None, x, largest)
        shape = (5, channels)
    return dense, x, rng.standard_normal(shape).astype(np.float32)


@settings(max_examples=2 * EXAMPLES, deadline=None)
@given(dense_layers())
def test_dense_layers_are_those_of_onnxruntime(
    case: tuple[IntegerDense, Affine, NDArray[np.float32]],
) -> None:
    dense, x, images = case
    integers = np.clip(np.rint(images / x.scale) + x.zero_point, *LIMITS[x.dtype])
    sums, _ = dense.sums(integers, x)
    unit = (x.scale * dense.scale).reshape(-1, *[1] * (sums.ndim - 2))
    y = range_of(sums * unit, x.dtype)
    entries = EXACT if x.dtype == "uint8" else SIGNED
    values = run(dense_model(dense, x, y, images.shape[1:]), entries, x=images)
    expected = dense.expected(values["x_quantized"], x, y)
    found = compare("layer", "dense", expected, values["y_quantized"])
    assert found.passed, found
    assert found.largest_step_difference <= 1
    assert found.values_count == values["y_quantized"].size


@pytest.mark.parametrize("assembled", [False, True])
@settings(max_examples=EXAMPLES, deadline=None)
@given(case=layer_cases(), largest=st.sampled_from([64, 127]))
def test_lego_layers_are_those_of_onnxruntime(
    case: LayerCase, largest: int, *, assembled: bool
) -> None:
    found = check(*of_lego(case, largest, assembled=assembled), case.x)
    assert found.passed, found


@pytest.mark.parametrize("dtype", LIMITS)
def test_with_its_integers_exposed_a_layer_still_runs_in_integers(
    dtype: ActivationType, tmp_path: Path
) -> None:
    rng, x = np.random.default_rng(0), Affine.of_range(-2, 3, dtype)
    window = Window.symmetric((1, 1), (1, 1), (1, 1))
    dense = IntegerDense.of(rng.standard_normal((8, 8, 3, 3)), np.zeros(8), window, x, 127)
    model = dense_model(dense, x, Affine.of_range(-9, 9, dtype), (8, 6, 6))
    path = tmp_path / "optimized.onnx"
    session_of(model, EXACT if dtype == "uint8" else SIGNED, str(path))
    operators = [node.op_type for node in onnx.load(path).graph.node]
    assert "QLinearConv" in operators
    assert "Conv" not in operators


@settings(max_examples=EXAMPLES, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), group=st.sampled_from([1, 2]), data=st.data())
def test_sums_are_those_of_torch_in_float64(seed: int, group: int, data: st.DataObject) -> None:
    rng, window = np.random.default_rng(seed), data.draw(windows(group))
    x = rng.integers(-255, 256, (2, 4 * group, 9, 8))
    weight = rng.integers(-127, 128, (3 * group, 4, 3, 2))
    (top, left), (bottom, right) = window.before, window.after
    padded = F.pad(torch.from_numpy(x).double(), (left, right, top, bottom))
    (sy, sx), (dy, dx) = window.stride, window.dilation
    kernel = torch.from_numpy(weight).double()
    expected = F.conv2d(padded, kernel, None, (sy, sx), 0, (dy, dx), group)
    assert np.array_equal(convolve(x, weight, window), expected.numpy())


def test_next_to_a_tie_both_neighbours_are_right_and_no_third() -> None:
    sums, affine = np.arange(-9, 10).reshape(1, 1, -1), Affine(1.0, 128, "uint8")
    found = requantize(sums, np.array([0.5]), 0.0, affine)
    odd = sums % 2 == 1
    assert np.array_equal(found.doubt, odd.astype(np.int64))
    assert not found.is_wrong(found.low).any()
    assert not found.is_wrong(found.high).any()
    assert found.is_wrong(found.high + 1).all()
    assert found.is_wrong(found.low - 1).all()
    halves_to_even = np.rint(sums / 2) + 128
    assert np.array_equal(found.nearest, halves_to_even)


def test_beyond_the_limits_nothing_is_in_doubt() -> None:
    found = settle(np.array([[-1e9, 1e9]]), np.array([[1e3, 1e3]]), Affine(1.0, 3, "int8"))
    assert found.nearest.tolist() == [[-128, 127]]
    assert not found.doubt.any()


def test_a_row_whose_bias_is_large_does_not_overflow() -> None:
    weight, bias = np.full((2, 8), 1e-12), np.array([1e3, 0.0])
    dense = IntegerDense.of(weight, bias, None, X, 127)
    y = Affine.of_range(0, 2e3, "uint8")
    values = run(dense_model(dense, X, y, (8,)), EXACT, x=np.ones((1, 8), np.float32))
    expected = dense.expected(values["x_quantized"], X, y)
    assert compare("layer", "Gemm", expected, values["y_quantized"]).passed
    assert expected.nearest[0, 0] == round(1e3 / y.scale)


def test_the_layer_is_close_to_the_real_one() -> None:
    """The integers stand for what the layer computes in real numbers, not only for ONNX Runtime."""
    frozen: FrozenLego = CASE.frozen
    layer, y, _ = of_lego(CASE, 127, assembled=True)
    integers = np.clip(np.rint(CASE.x / X.scale) + X.zero_point, 0, 255).astype(np.int64)
    real = F.conv2d(
        torch.from_numpy((integers - X.zero_point) * X.scale),
        torch.from_numpy(frozen.dense_weight()),
        torch.from_numpy(np.asarray(frozen.bias, np.float64)),
        frozen.stride,
        frozen.padding,
    ).numpy()
    computed = (layer.expected(integers, y).nearest - y.zero_point) * y.scale
    # A weight is rounded twice, each time by at most half of 1/127 of the largest in its row.
    magnitude = 3.0 * np.abs(frozen.dense_weight()).max(axis=(1, 2, 3)) * frozen.lego[0].size * 3
    limit = magnitude[:, None, None] / 127 + y.scale
    inside = (real > y.low) & (real < y.high)
    assert (np.abs(computed - real) <= limit)[inside].all()

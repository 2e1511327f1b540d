"""The integers of a quantized layer, as this room states them, are those of ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

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
from legoexport.parity.integer.check import IntegerAgreement, compare
from legoexport.parity.integer.dense_layer import IntegerDense
from legoexport.parity.integer.lego_layer import IntegerLego
from runtime_tests.layers import LayerCase, layer_cases, random_frozen
from runtime_tests.parity.qdq import (
    EXACT,
    SIGNED,
    assembled_model,
    dense_model,
    run,
    session_of,
    split_model,
)

EXAMPLES = 25
X = Affine.of_range(-2, 3, "uint8")


def range_of(real: NDArray[Any], dtype: ActivationType) -> Affine:
    """The integers of a value of which some entries lie beyond what they reach."""
    return Affine.of_range(0.9 * float(real.min()), 0.9 * float(real.max()) + 1e-3, dtype)


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


def of_lego(
    case: LayerCase, largest: int, *, assembled: bool
) -> tuple[IntegerLego, Affine, onnx.ModelProto]:
    """A layer, its output's integers and the graph of it."""
    frozen, size = case.frozen, case.x.shape[2:]
    rng = np.random.default_rng(0)
    real = F.conv2d(
        torch.from_numpy(case.x.astype(np.float64)),
        torch.from_numpy(frozen.dense_weight()),
        None if frozen.bias is None else torch.from_numpy(frozen.bias.astype(np.float64)),
        frozen.stride,
        frozen.padding,
        frozen.dilation,
    ).numpy()
    y = range_of(real, "uint8")
    if assembled:
        layer = IntegerLego(frozen, X, None, largest)
        return layer, y, assembled_model(frozen, (X, y), largest, size)
    scale = (np.abs(frozen.lego).reshape(frozen.m, -1).max(axis=1) / largest).tolist()
    used = [j for row in frozen.index for j in sorted(set(row.tolist()))]
    taps = frozen.lego[0].size
    maps = np.array([scale[j] / (3 * taps * rng.uniform(0.05, 1)) for j in used], np.float32)
    layer = IntegerLego(frozen, X, maps, largest)
    return layer, y, split_model(frozen, maps, (X, y), largest, size)


def check(
    layer: IntegerLego, y: Affine, model: onnx.ModelProto, x: NDArray[np.float32]
) -> IntegerAgreement:
    values = run(model, EXACT, x=x)
    expected = layer.expected(values["x_quantized"], y)
    return compare("layer", "lego", expected, values["y_quantized"])


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


CASE = LayerCase(
    random_frozen(np.random.default_rng(3), o=3, n=14, pool_size=3, padding=(1, 1)),
    np.random.default_rng(4).standard_normal((2, 9, 9, 8)).astype(np.float32),
)
CHANNEL = 5


def another_index(layer: IntegerLego) -> IntegerLego:
    """Let one output take a filter that its fragment computes already."""
    frozen = layer.frozen
    index = frozen.index.copy()
    others = index[1][index[1] != index[1, CHANNEL]]
    index[1, CHANNEL] = others[0]
    assert set(index[1].tolist()) == set(frozen.index[1].tolist())
    return replace(layer, frozen=replace(frozen, index=index))


def another_coefficient(layer: IntegerLego) -> IntegerLego:
    coefficient = layer.frozen.coefficient.copy()
    coefficient[1, CHANNEL] *= -1
    return replace(layer, frozen=replace(layer.frozen, coefficient=coefficient))


def another_bias(layer: IntegerLego) -> IntegerLego:
    assert layer.frozen.bias is not None
    bias = layer.frozen.bias.copy()
    bias[CHANNEL] += np.float32(0.1)
    return replace(layer, frozen=replace(layer.frozen, bias=bias))


@pytest.mark.parametrize("assembled", [False, True])
@pytest.mark.parametrize("change", [another_index, another_coefficient, another_bias])
def test_a_wrong_entry_of_an_output_is_found_in_its_channel(
    change: Any, *, assembled: bool
) -> None:
    layer, y, model = of_lego(CASE, 127, assembled=assembled)
    assert check(layer, y, model, CASE.x).passed
    found = check(change(layer), y, model, CASE.x)
    assert not found.passed
    assert found.first_wrong_channel == CHANNEL
    assert found.to_json()["passed"] is False


def one_code(layer: IntegerLego) -> IntegerLego:
    lego = layer.frozen.lego.copy()
    step = np.abs(lego[2]).max() / layer.largest_code
    small = np.unravel_index(np.abs(lego[2]).argmin(), lego[2].shape)
    lego[(2, *small)] += 3 * step
    return replace(layer, frozen=replace(layer.frozen, lego=lego))


def one_map_scale(layer: IntegerLego) -> IntegerLego:
    assert layer.maps is not None
    maps = layer.maps.copy()
    maps[0] *= np.float32(1.02)
    return replace(layer, maps=maps)


def input_scale(layer: IntegerLego) -> IntegerLego:
    return replace(layer, x=replace(X, scale=float(np.float32(1.01 * X.scale))))


def input_zero_point(layer: IntegerLego) -> IntegerLego:
    return replace(layer, x=replace(X, zero_point=X.zero_point + 1))


@pytest.mark.parametrize("change", [one_code, one_map_scale, input_scale, input_zero_point])
def test_a_wrong_code_scale_or_zero_point_is_found(change: Any) -> None:
    layer, y, model = of_lego(CASE, 127, assembled=False)
    assert not check(change(layer), y, model, CASE.x).passed


@pytest.mark.parametrize("change", ["scale", "zero_point"])
def test_other_integers_of_the_output_are_found(change: str) -> None:
    layer, y, model = of_lego(CASE, 127, assembled=False)
    other = {
        "scale": replace(y, scale=float(np.float32(1.01 * y.scale))),
        "zero_point": replace(y, zero_point=y.zero_point + 1),
    }[change]
    assert not check(layer, other, model, CASE.x).passed


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

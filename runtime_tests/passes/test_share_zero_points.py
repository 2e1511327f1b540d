"""Sharing zero points: before and after as ONNX text, and equal numbers."""

from __future__ import annotations

import numpy as np
import pytest

from legoexport.passes.share_zero_points import ShareZeroPoints
from runtime_tests.passes.text import declined, numbers, parse, rewritten

IMAGE = "(float[batch, 2, 3, 3] x) => (float y)"
NUMBERS = (
    "float[2, 2, 1, 1] v, int32[2] a = {1, 2}, float[2] s, "
    "float[2, 2, 1, 1] w, int32[2] b = {3, 4}, float[2] t"
)


def two_biases(zeros: str, first: str, second: str) -> str:
    return (
        f"{IMAGE} <{NUMBERS}, {zeros}> {{"
        f" c = DequantizeLinear <axis = 0> (a, s, {first}) h = Conv (x, v, c)"
        f" d = DequantizeLinear <axis = 0> (b, t, {second}) y = Conv (h, w, d) }}"
    )


def test_equal_zeros_become_one() -> None:
    before = two_biases("int32[2] e = {0, 0}, int32[2] f = {0, 0}", "e", "f")
    after = two_biases("int32[2] e = {0, 0}", "e", "e")
    model = rewritten(ShareZeroPoints(), parse(before), after)
    assert set(model.graph.initializers) == {*"vaswbt", "bias_of_2_zero_point"}
    np.testing.assert_array_equal(numbers(model), numbers(parse(before)))


def test_a_name_of_the_network_stays_its_own() -> None:
    scalar = "float bias_of_2_zero_point"
    text = two_biases(f"int32[2] e = {{0, 0}}, int32[2] f = {{0, 0}}, {scalar}", "e", "f")
    before = parse(
        text.replace("Conv (h, w, d)", "Conv (k, w, d)").replace(
            "h = Conv (x, v, c)", "h = Conv (x, v, c) k = Mul (h, bias_of_2_zero_point)"
        )
    )
    expected = numbers(before)
    model = ShareZeroPoints()(before).model
    assert {"bias_of_2_zero_point", "bias_of_2_zero_point#2"} <= set(model.graph.initializers)
    np.testing.assert_array_equal(numbers(model), expected)


@pytest.mark.parametrize(
    "zeros",
    [
        "int32[2] e = {0, 0}, int32[2] f = {0, 1}",
        "int32[2] e = {1, 1}, int32[2] f = {1, 1}",
    ],
    ids=["one is not zero", "neither is zero"],
)
def test_other_zero_points_stay(zeros: str) -> None:
    declined(ShareZeroPoints(), parse(two_biases(zeros, "e", "f")))


def test_those_of_weights_stay() -> None:
    codes = "int8[2, 2, 1, 1] a = {1, 2, 3, 4}, int8[2, 2, 1, 1] b = {5, 6, 7, 8}"
    zeros = "int8[2] e = {0, 0}, int8[2] f = {0, 0}"
    declined(
        ShareZeroPoints(),
        parse(
            f"{IMAGE} <{codes}, float[2] s, {zeros}> {{"
            " v = DequantizeLinear <axis = 0> (a, s, e) h = Conv (x, v)"
            " w = DequantizeLinear <axis = 0> (b, s, f) y = Conv (h, w) }"
        ),
    )


def test_single_integers_stay() -> None:
    scalars = "uint8 c = {0}, uint8 d = {0}, float s"
    declined(
        ShareZeroPoints(),
        parse(
            f"{IMAGE} <{scalars}> {{"
            " q = QuantizeLinear (x, s, c) v = DequantizeLinear (q, s, c)"
            " r = QuantizeLinear (v, s, d) y = DequantizeLinear (r, s, d) }"
        ),
    )

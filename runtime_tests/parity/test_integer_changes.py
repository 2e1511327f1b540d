"""One wrong number in a layer of integers is found, and in the channel that it belongs to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from legoexport.parity.integer.lego_layer import IntegerLego
from runtime_tests.parity.integer_cases import CASE, X, check, of_lego

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

"""Constants apart again: before and after as ONNX text, what stays merged, and equal numbers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from legoexport.passes.separate_constants import SeparateConstants
from runtime_tests.passes.text import declined, numbers, parse, rewritten

IMAGE = "(float[batch, 2] x) => (float y)"
APART = "float[2] a = {1, 2}, float[2] b = {1, 2}"


def two(stored: str, first: str, second: str, last: str = "Add") -> ir.Model:
    model = parse(f"{IMAGE} <{stored}> {{ h = Mul (x, {first}) y = {last} (h, {second}) }}")
    for place, node in enumerate(model.graph):
        node.name = f"node {place}"
    return model


def test_each_node_reads_its_own_again() -> None:
    before = two("float[2] a = {1, 2}", "a", "a")
    expected = numbers(before)
    after = f"{IMAGE} <{APART}> {{ h = Mul (x, a) y = Add (h, b) }}"
    model = rewritten(SeparateConstants(two(APART, "a", "b")), before, after)
    assert set(model.graph.initializers) == {"a", "b"}
    np.testing.assert_array_equal(numbers(model), expected)


def test_a_constant_that_nobody_reads_any_more_goes() -> None:
    model = SeparateConstants(two(APART, "b", "b"))(two("float[2] a = {1, 2}", "a", "a")).model
    assert set(model.graph.initializers) == {"b"}


@pytest.mark.parametrize(
    "before",
    [
        two("float[2] a = {1, 2.0000002}", "a", "a"),
        two("float[2] c = {1, 3}", "c", "c"),
        two("float[2] a = {1, 2}", "a", "a", last="Sub"),
        two("float[2] a = {1, 2}, float[2] b = {3, 4}", "a", "a"),
    ],
    ids=["other numbers", "other constants", "another operator", "its name is taken"],
)
def test_what_is_not_the_same_stays(before: ir.Model) -> None:
    declined(SeparateConstants(two(APART, "a", "b")), before)


def test_a_value_of_its_name_keeps_it() -> None:
    before = parse(
        f"{IMAGE} <float[2] a = {{1, 2}}> {{ h = Mul (x, a) b = Add (h, a) y = Relu (b) }}"
    )
    for place, node in enumerate(before.graph):
        node.name = f"node {place}"
    declined(SeparateConstants(two(APART, "a", "b")), before)

"""Triggers that read a file as it is: what other engines than ONNX Runtime do not fold."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from runtime_tests.doctor.graphs import weight
from runtime_tests.doctor.test_triggers import found


def expanded(*, computed: bool) -> onnx.ModelProto:
    """Maps that are gathered and convolved, by constants or by what is computed from them."""
    body = "i = Add (i0, i0) w = Relu (w0)" if computed else "i = Identity (x)"
    gathered, weights = ("i", "w") if computed else ("i0", "w0")
    graph = onnx.parser.parse_graph(f"""g (float[1, 2, 4, 4] x) => (float[1, 3, 2, 2] y)
        {{ {body} maps = Gather <axis = 1> (x, {gathered}) y = Conv (maps, {weights}) }}""")
    for node in graph.node:
        node.name = node.output[0]
    indices = np.zeros(3, np.int64)
    constants: dict[str, np.ndarray] = {"i0": indices, "w0": weight(3, 3, 3, 3)}
    graph.initializer.extend(numpy_helper.from_array(value, n) for n, value in constants.items())
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("computed", [True, False])
def test_indices_and_weights_that_are_computed(*, computed: bool) -> None:
    model = expanded(computed=computed)
    assert found("gathers_by_computed_indices", model) == ["maps"] * computed
    assert found("convolutions_by_computed_weights", model) == ["y"] * computed


@pytest.mark.parametrize("second", ["a", "b"])
def test_a_matrix_on_the_left_of_two_products(second: str) -> None:
    graph = onnx.parser.parse_graph(f"""g (float[2, 2] x) => (float[2, 2] z)
        {{ y = MatMul (a, x) z = MatMul ({second}, y) }}""")
    for node in graph.node:
        node.name = node.output[0]
    graph.initializer.extend(numpy_helper.from_array(weight(2, 2), name) for name in "ab")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert found("products_that_share_a_matrix", model) == ["z"] * (second == "a")

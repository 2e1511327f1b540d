"""LegoConv2d nodes become standard operators, named by the contract."""

from __future__ import annotations

import numpy as np
import pytest

from legoexport.passes import lego_op
from legoexport.passes.lower_lego import LowerLego
from legoexport.passes.plan import Plan
from runtime_tests.passes.text import declined, numbers, parse, rewritten
from runtime_tests.reference import split_transform_merge

GEOMETRY = "strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1]"
CONV = "strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], kernel_shape = [1, 1]"
X = "(float[batch, 4, 5, 5] x) => (float y)"
BEFORE = f"""{X} <float[3, 2, 1, 1] bank, int64[2, 4] i = {{0, 1, 2, 0, 1, 1, 2, 2}},
                  float[2, 4] k, float[4] b>
    {{ y = legoexport.LegoConv2d <layer = "L", {GEOMETRY}> (x, bank, i, k, b) }}"""
DENSE = f"""{X} <float[3, 2, 1, 1] bank, int32[4] i0 = {{0, 1, 2, 0}}, float[4, 1, 1, 1] k0,
                 int32[4] i1 = {{1, 1, 2, 2}}, float[4, 1, 1, 1] k1, float[4] b>
    {{ g0 = Gather <axis = 0> (bank, i0)  s0 = Mul (g0, k0)
       g1 = Gather <axis = 0> (bank, i1)  s1 = Mul (g1, k1)
       w = Concat <axis = 1> (s0, s1)     y = Conv <group = 1, {CONV}> (x, w, b) }}"""
PER_FRAGMENT = f"""{X} <float[3, 2, 1, 1] bank, int64[2] sizes = {{2, 2}},
        int32[3] r0 = {{0, 1, 2}}, int32[2] r1 = {{1, 2}},
        int32[8] i = {{0, 3, 1, 3, 2, 4, 0, 4}}, float[4, 2, 1, 1] k, float[4] b>
    {{ x0, x1 = Split <axis = 1> (x, sizes)
       g0 = Gather <axis = 0> (bank, r0)  t0 = Conv <group = 1, {CONV}> (x0, g0)
       g1 = Gather <axis = 0> (bank, r1)  t1 = Conv <group = 1, {CONV}> (x1, g1)
       maps = Concat <axis = 1> (t0, t1)  chosen = Gather <axis = 1> (maps, i)
       y = Conv <group = 4, kernel_shape = [1, 1]> (chosen, k, b) }}"""


@pytest.mark.parametrize(("lowering", "after"), [("dense", DENSE), ("per_fragment", PER_FRAGMENT)])
def test_before_and_after(lowering: str, after: str) -> None:
    before = parse(BEFORE)
    frozen = next(lego_op.find(before.graph)).frozen
    model = rewritten(LowerLego(Plan({"L": lowering})), before, after)
    x = np.random.default_rng(7).standard_normal((2, 4, 5, 5)).astype(np.float32)
    expected = split_transform_merge(x.astype(np.float64), frozen)
    # Four products a sum of weights and images of about 1.
    np.testing.assert_allclose(numbers(model), expected, atol=1e-5, rtol=0)
    assert {str(node.name).split("/")[0] for node in model.graph} == {"L"}


def test_the_result_of_an_inner_layer_is_named_after_it() -> None:
    inner = BEFORE.replace("{ y =", "{ a =").replace("(x, bank, i, k, b) }", "(x, bank, i, k, b)")
    model = parse(f"{inner} y = Relu (a) }}")
    LowerLego(Plan({"L": "grouped"}))(model)
    relu = model.graph.outputs[0].producer()
    assert relu is not None
    assert relu.inputs[0] is not None
    assert relu.inputs[0].name == "L/output"


def test_a_model_without_lego_layers_stays() -> None:
    declined(LowerLego(Plan({})), parse(f"{X} {{ y = Relu (x) }}"))


def test_a_table_may_be_a_constant_node() -> None:
    model = parse(
        BEFORE.replace("float[2, 4] k, ", "").replace(
            "{ y =", "{ k = Constant <value = float[2, 4] {1, 2, 3, 4, 5, 6, 7, 8}> () y ="
        )
    )
    assert LowerLego(Plan({"L": "dense"}))(model).modified
    assert {node.domain for node in model.graph} == {""}
    assert numbers(model).shape == (2, 4, 5, 5)

"""Filters that no output uses leave the bank; the function stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.lego.frozen import FrozenLego
from legoexport.passes import lego_op
from legoexport.passes.drop_unused_pairs import DropUnusedPairs
from runtime_tests.layers import LayerCase, layer_cases, lego_graph, random_frozen
from runtime_tests.reference import split_transform_merge


def after_the_pass(frozen: FrozenLego) -> tuple[FrozenLego, bool]:
    model = lego_graph(frozen, 12, 12)
    modified = DropUnusedPairs()(model).modified
    (node,) = lego_op.find(model.graph)
    return node.frozen, modified


@settings(max_examples=60, deadline=None)
@given(case=layer_cases(), share=st.floats(0, 1))
def test_keeps_the_function_exactly(case: LayerCase, share: float) -> None:
    rng = np.random.default_rng(case.frozen.n)
    zeroed = np.where(rng.random(case.frozen.coefficient.shape) < share, 0, case.frozen.coefficient)
    frozen = replace(case.frozen, coefficient=zeroed.astype(np.float32))
    compact, _ = after_the_pass(frozen)
    x = case.x.astype(np.float64)
    np.testing.assert_array_equal(
        split_transform_merge(x, compact), split_transform_merge(x, frozen)
    )
    assert set(np.unique(compact.index)) == set(range(compact.m))
    assert compact.selection.pair_count <= frozen.selection.pair_count
    assert not after_the_pass(compact)[1]


def test_a_filter_with_only_zero_coefficients_goes() -> None:
    frozen = random_frozen(np.random.default_rng(0), o=1, m=3, n=3)
    index = np.array([[0, 1, 2]])
    coefficient = np.array([[1, 0, 1]], np.float32)
    compact, modified = after_the_pass(replace(frozen, index=index, coefficient=coefficient))
    assert modified
    np.testing.assert_array_equal(compact.lego, frozen.lego[[0, 2]])
    np.testing.assert_array_equal(compact.index, [[0, 0, 1]])


def test_declines_a_layer_that_uses_its_whole_bank() -> None:
    frozen = random_frozen(np.random.default_rng(0), o=1, m=4, n=4)
    _, modified = after_the_pass(replace(frozen, index=np.array([[3, 1, 0, 2]])))
    assert not modified

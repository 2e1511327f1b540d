"""Filters that no output uses leave the bank; the function stays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.lego.frozen import FrozenLego
from legoexport.passes import lego_op
from legoexport.passes.drop_unused_pairs import DropUnusedPairs, compact_banks
from runtime_tests.layers import LayerCase, layer_cases, lego_graph, random_frozen
from runtime_tests.passes.text import declined, parse, rewritten
from runtime_tests.reference import split_transform_merge

X = "(float[batch, 2, 5, 5] x) => (float y)"


def lego(layer: str, inputs: str) -> str:
    geometry = "strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1]"
    return f'legoexport.LegoConv2d <layer = "{layer}", {geometry}> ({inputs})'


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


@given(st.integers(0, 2**32 - 1))
def test_layers_of_one_bank_keep_one_bank_and_their_functions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = random_frozen(rng, pool_size=2)
    second = replace(random_frozen(rng, pool_size=2), lego=first.lego)
    compact = compact_banks([first, second]) or [first, second]
    np.testing.assert_array_equal(compact[0].lego, compact[1].lego)
    assert set(np.unique([one.index for one in compact])) == set(range(compact[0].m))
    x = rng.standard_normal((1, first.c, 5, 5))
    for before, after in zip((first, second), compact, strict=True):
        np.testing.assert_array_equal(
            split_transform_merge(x, after), split_transform_merge(x, before)
        )


def test_a_filter_that_nothing_chooses_goes() -> None:
    before = f"""{X} <float[3, 1, 1, 1] bank, int64[2, 2] i = {{0, 2, 2, 2}}, float[2, 2] k>
        {{ y = {lego("L", "x, bank, i, k")} }}"""
    after = f"""{X} <float[2, 1, 1, 1] bank, int64[2, 2] i = {{0, 1, 1, 1}}, float[2, 2] k>
        {{ y = {lego("L", "x, bank, i, k")} }}"""
    rewritten(DropUnusedPairs(), parse(before), after)


def test_a_filter_with_only_zero_coefficients_goes() -> None:
    frozen = random_frozen(np.random.default_rng(0), o=1, m=3, n=3)
    index = np.array([[0, 1, 2]])
    coefficient = np.array([[1, 0, 1]], np.float32)
    compact, modified = after_the_pass(replace(frozen, index=index, coefficient=coefficient))
    assert modified
    np.testing.assert_array_equal(compact.lego, frozen.lego[[0, 2]])
    np.testing.assert_array_equal(compact.index, [[0, 0, 1]])


def test_a_layer_that_uses_its_whole_bank_is_left_alone() -> None:
    text = f"""{X} <float[2, 1, 1, 1] bank, int64[2, 2] i = {{1, 0, 0, 0}}, float[2, 2] k>
        {{ y = {lego("L", "x, bank, i, k")} }}"""
    declined(DropUnusedPairs(), parse(text))


def test_filters_that_the_other_layer_of_the_bank_uses_stay() -> None:
    text = f"""{X} <float[2, 1, 1, 1] bank, float[2, 2] k,
        int64[2, 2] i = {{0, 0, 0, 0}}, int64[2, 2] j = {{1, 1, 1, 1}}>
        {{ a = {lego("L", "x, bank, i, k")} y = {lego("M", "a, bank, j, k")} }}"""
    declined(DropUnusedPairs(), parse(text))

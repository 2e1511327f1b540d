"""Small maps are summed by blocks of outputs, larger ones output by output; both are the merge."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.passes.lowerings import LOWERINGS, Site, Sums, find_lowering
from legoexport.passes.lowerings.merge import merge_macs
from runtime_tests.layers import lowered, random_frozen, run
from runtime_tests.reference import rounding_scale, split_transform_merge

# As in test_lowerings.py: sums of up to 64 products here, and their rounding.
SUM_TOLERANCE = 32 * float(np.finfo(np.float32).eps)
SUMMED = [name for name in LOWERINGS if name not in ("dense", "grouped_dense_merge")]


def group_of_sum(model: ir.Model) -> int:
    (node,) = [node for node in model.graph if node.name == "layer/merge/sum"]
    return node.attributes.get_int("group")


@pytest.mark.parametrize(
    ("outputs", "height", "width", "groups"),
    [(32, 8, 8, 2), (48, 5, 12, 3), (32, 8, 9, 32), (32, 13, 5, 32), (24, 4, 4, 24)],
    ids=["8x8", "5x12", "72 pixels", "65 pixels", "no whole blocks"],
)
def test_who_is_summed_by_blocks(outputs: int, height: int, width: int, groups: int) -> None:
    frozen = random_frozen(np.random.default_rng(0), n=outputs, m=outputs // 2, padding=(1, 1))
    assert group_of_sum(lowered(frozen, height, width, "grouped")) == groups
    assert group_of_sum(lowered(frozen, height, width, "grouped", "by output")) == outputs
    per_output = outputs // groups * frozen.o
    site = Site("layer", frozen, (height, width))
    assert merge_macs(site) == per_output * outputs * height * width
    single = merge_macs(replace(site, sums="by output"))
    assert single == frozen.o * outputs * height * width


@pytest.mark.parametrize("name", SUMMED)
@settings(max_examples=8, deadline=None)
@given(
    o=st.integers(1, 4),
    blocks=st.integers(1, 3),
    batch=st.integers(1, 3),
    height=st.integers(3, 8),
    width=st.integers(3, 8),
    sums=st.sampled_from(get_args(Sums)),
    seed=st.integers(0, 2**16),
)
def test_blocks_equal_the_definition(  # noqa: PLR0917 - axes of the property
    name: str, o: int, blocks: int, batch: int, height: int, width: int, sums: Sums, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    frozen = random_frozen(rng, o=o, n=16 * blocks, m=5, fragment_channels=4, padding=(1, 1))
    lowering = find_lowering(name)
    assert lowering.declines(Site("layer", frozen, (height, width))) is None
    model = lowered(frozen, height, width, name, sums)
    assert group_of_sum(model) == (blocks if sums == "by blocks" else frozen.n)
    x = rng.standard_normal((batch, frozen.c, height, width))
    scale = rounding_scale(x, frozen)
    actual = run(model, x.astype(np.float32))
    expected = split_transform_merge(x.astype(np.float32).astype(np.float64), frozen)
    assert np.abs(actual - expected).max() <= SUM_TOLERANCE * lowering.rounding_growth * scale

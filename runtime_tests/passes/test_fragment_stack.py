"""Fragments stacked: rows that keep apart, the two merges, and what is declined."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from legoexport.passes.lowerings import Site, find_lowering
from legoexport.passes.lowerings.stacked_map import StackedMap
from runtime_tests.layers import lowered, random_frozen


def site(height: int, kernel: int, stride: int, dilation: int, padding: int) -> Site:
    frozen = random_frozen(
        np.random.default_rng(0),
        o=3,
        kernel=(kernel, 1),
        stride=(stride, 1),
        dilation=(dilation, 1),
        padding=(padding, 0),
    )
    return Site("layer", frozen, (height, 4))


@settings(max_examples=300, deadline=None)
@given(
    height=st.integers(1, 20),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    padding=st.integers(0, 6),
)
def test_every_output_row_reads_its_own_fragment_and_zeros(
    height: int, kernel: int, stride: int, dilation: int, padding: int
) -> None:
    assume(height + 2 * padding >= dilation * (kernel - 1) + 1)
    place = site(height, kernel, stride, dilation, padding)
    stacked, rows, reach = StackedMap.of(place), place.output_size[0], dilation * (kernel - 1) + 1
    above, below = stacked.padding
    assert stacked.fits == (padding < reach)
    if not stacked.fits:
        return
    owner = np.repeat([0, 1, 2], height + stacked.gap)
    owner[np.arange(len(owner)) % (height + stacked.gap) >= height] = -1
    padded = np.concatenate([np.full(above, -1), owner, np.full(below, -1)])
    assert (len(padded) - reach) // stride + 1 == 3 * stacked.distance
    for fragment in range(3):
        for row in range(rows):
            first = (fragment * stacked.distance + row) * stride
            read = padded[first : first + reach : dilation]
            alone = np.concatenate([np.full(padding, -1), np.full(height, fragment)])
            alone = np.concatenate([alone, np.full(padding, -1)])
            expected = alone[row * stride : row * stride + reach : dilation]
            assert read.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("place", "gap", "operators"),
    [
        (site(8, 1, 1, 1, 0), 0, ["Gather", "Reshape", "Conv", "Reshape", "Gather", "Conv"]),
        (
            site(8, 3, 1, 1, 1),
            1,
            ["Pad", "Gather", "Reshape", "Conv", "Reshape", "Add", "Gather", "Conv"],
        ),
        (site(8, 1, 2, 1, 0), 0, ["Gather", "Reshape", "Conv", "Reshape", "Gather", "Conv"]),
        (
            site(7, 1, 2, 1, 0),
            1,
            ["Pad", "Gather", "Reshape", "Conv", "Reshape", "Gather", "Conv"],
        ),
    ],
    ids=["pointwise", "padded", "stride that divides", "stride that does not"],
)
def test_the_graph(place: Site, gap: int, operators: list[str]) -> None:
    model = lowered(place.frozen, *place.input_size, "fragment_stack")
    assert [node.op_type for node in model.graph] == operators
    assert StackedMap.of(place).gap == gap


def test_a_single_fragment_is_not_moved() -> None:
    frozen = random_frozen(np.random.default_rng(0), o=1, kernel=(1, 1))
    model = lowered(frozen, 5, 5, "fragment_stack")
    assert [node.op_type for node in model.graph] == ["Conv", "Reshape", "Gather", "Conv"]


def test_a_padding_wider_than_the_kernel_is_declined() -> None:
    declined = find_lowering("fragment_stack").declines(site(8, 1, 1, 1, 2))
    assert declined is not None
    assert "past the kernel" in declined
    assert find_lowering("fragment_stack").declines(site(8, 3, 1, 1, 2)) is None

"""Winograd: exact matrices, and layers that every Winograd lowering really serves."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.lego.frozen import FrozenLego
from legoexport.passes.lowerings import LOWERINGS, Site, find_lowering
from legoexport.passes.lowerings.merge import merge_macs
from legoexport.passes.lowerings.winograd import F4, F7, Transforms, cook_toom, taps_of
from runtime_tests.layers import LayerCase, lowered, random_frozen, run
from runtime_tests.passes.test_lowerings import SUM_TOLERANCE
from runtime_tests.reference import rounding_scale, split_transform_merge

WINOGRAD = [name for name in LOWERINGS if name.startswith("winograd")]
ROWS = [name for name in WINOGRAD if name.startswith("winograd_rows")]
TILES = [name for name in WINOGRAD if name.startswith("winograd_tiles")]


@st.composite
def winograd_cases(draw: st.DrawFn, *, any_width: bool = False) -> LayerCase:
    """3x3, stride 1, small and odd maps; with ``any_width`` any geometry along the width."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    width = st.integers(1, 3) if any_width else st.just(1)
    kernel = (3, draw(st.sampled_from([1, 2, 3, 5])) if any_width else 3)
    padding = (draw(st.integers(0, 3)), draw(st.integers(0, 2)))
    stride, dilation = (1, draw(width)), (1, draw(width))
    m = draw(st.integers(1, 20))
    frozen = random_frozen(
        rng,
        o=draw(st.integers(1, 4)),
        m=m,
        n=draw(st.integers(1, 24)),
        fragment_channels=draw(st.sampled_from([1, 3, 5, 8, 12, 16])),
        kernel=kernel,
        bias=draw(st.booleans()),
        pool_size=draw(st.integers(1, m)),
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    least = [max(1, dilation[i] * (kernel[i] - 1) + 1 - 2 * padding[i]) for i in (0, 1)]
    height, columns = (size + draw(st.integers(0, 17)) for size in least)
    x = rng.standard_normal((draw(st.integers(1, 3)), frozen.c, height, columns))
    return LayerCase(frozen, x.astype(np.float32))


def assert_equals_the_definition(name: str, case: LayerCase) -> None:
    height, width = case.x.shape[2:]
    assert find_lowering(name).declines(Site("layer", case.frozen, (height, width))) is None
    actual = run(lowered(case.frozen, height, width, name), case.x)
    expected = split_transform_merge(case.x.astype(np.float64), case.frozen)
    scale = rounding_scale(case.x.astype(np.float64), case.frozen)
    assert actual.shape == expected.shape
    tolerance = SUM_TOLERANCE * find_lowering(name).rounding_growth * scale
    assert np.abs(actual - expected).max() <= tolerance


@pytest.mark.parametrize("name", WINOGRAD)
@settings(max_examples=60, deadline=None)
@given(case=winograd_cases())
def test_equals_the_definition(name: str, case: LayerCase) -> None:
    assert_equals_the_definition(name, case)


@pytest.mark.parametrize("name", ROWS)
@settings(max_examples=30, deadline=None)
@given(case=winograd_cases(any_width=True))
def test_rows_take_any_width(name: str, case: LayerCase) -> None:
    assert_equals_the_definition(name, case)


RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("names", "frozen", "reason"),
    [
        (WINOGRAD, random_frozen(RNG, kernel=(1, 3)), "vertical kernel is 1"),
        (WINOGRAD, random_frozen(RNG, stride=(2, 1)), "vertical stride"),
        (WINOGRAD, random_frozen(RNG, dilation=(2, 1)), "vertical stride or dilation"),
        (TILES, random_frozen(RNG, kernel=(3, 5)), "horizontal kernel is 5"),
        (TILES, random_frozen(RNG, dilation=(1, 2)), "horizontal stride or dilation"),
    ],
    ids=["kernel", "stride", "dilation", "horizontal kernel", "horizontal dilation"],
)
def test_what_it_declines(names: list[str], frozen: FrozenLego, reason: str) -> None:
    for name in names:
        declined = find_lowering(name).declines(Site("layer", frozen, (8, 8)))
        assert declined is not None
        assert reason in declined


@pytest.mark.parametrize("name", WINOGRAD)
def test_the_stated_rounding_growth_has_room(name: str) -> None:
    """What is stated is twice what was measured; another machine may sum in another order."""
    rng = np.random.default_rng(0)
    frozen = random_frozen(rng, m=32, n=64, fragment_channels=32, padding=(1, 1))
    x = rng.standard_normal((2, frozen.c, 28, 28)).astype(np.float32)
    expected = split_transform_merge(x.astype(np.float64), frozen)
    plain, tried = (
        np.sqrt(np.square(run(lowered(frozen, 28, 28, kind), x) - expected).mean())
        for kind in ("grouped", name)
    )
    assert tried <= 0.75 * find_lowering(name).rounding_growth * plain


@pytest.mark.parametrize("name", WINOGRAD)
def test_fewer_multiplications_than_direct(name: str) -> None:
    frozen = random_frozen(
        np.random.default_rng(0), m=128, n=256, fragment_channels=128, padding=(1, 1)
    )
    site = Site("layer", frozen, (28, 28))
    direct, winograd = (find_lowering(kind).footprint(site).macs for kind in ("grouped", name))
    assert winograd - merge_macs(site) < 0.75 * (direct - merge_macs(site))


def filtered(transforms: Transforms, x: np.ndarray, taps: np.ndarray) -> np.ndarray:
    return transforms.output @ ((transforms.filter @ taps) * (transforms.input @ x))


@given(
    tile=st.integers(2, 8),
    numerators=st.sets(st.integers(-9, 9), min_size=10, max_size=10),
    infinity=st.booleans(),
)
def test_cook_toom_filters_with_any_points(tile: int, numerators: set[int], infinity: bool) -> None:
    points = [Fraction(numerator, 4) for numerator in sorted(numerators)][: tile + 2 - infinity]
    transforms = cook_toom(tile, points)
    assert (transforms.tile, transforms.points) == (tile, tile + 2)
    rng = np.random.default_rng(0)
    x, taps = rng.integers(-3, 4, tile + 2), rng.integers(-3, 4, 3)
    # The bound is the float64 rounding of sums whose terms grow with the points' powers.
    size = np.abs(transforms.output) @ (
        (np.abs(transforms.filter) @ np.abs(taps)) * (np.abs(transforms.input) @ np.abs(x))
    )
    error = np.abs(filtered(transforms, x, taps) - np.correlate(x, taps, "valid"))
    assert (error <= 1e-14 * (size + 1)).all()


@pytest.mark.parametrize("transforms", [F4, F7])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_taps_hold_the_whole_row(transforms: Transforms, padding: int) -> None:
    for row in transforms.input:
        taps = taps_of(row, padding)
        assert taps.offset <= padding
        rebuilt = np.zeros(len(row))
        rebuilt[taps.offset : taps.end : taps.dilation] = taps.values
        np.testing.assert_array_equal(rebuilt, row)

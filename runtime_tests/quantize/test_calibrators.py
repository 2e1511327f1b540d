"""Accumulators of calibration against forms that keep every value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from legoexport.lego.scales import Affine
from legoexport.quantize.calibrators import METHODS, Method, Settled, find_accumulator
from legoexport.quantize.histogram import BINS, Histogram
from legoexport.quantize.thresholds import ENTROPY_LEVELS, ENTROPY_TIE, keep_entropy

Floats = NDArray[np.float32]
# Any float32, the largest and the smallest too.
NUMBERS = st.floats(width=32, allow_nan=False, allow_infinity=False)
VALUES = arrays.arrays(np.float32, st.integers(1, 60), elements=NUMBERS)


@st.composite
def activations(draw: st.DrawFn) -> Floats:
    """A few thousand values as layers give them: with tails, one-sided or not, clamped or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal(draw(st.integers(50, 4000))) * 10.0 ** draw(st.integers(-8, 8))
    x *= rng.standard_gamma(draw(st.sampled_from([0.3, 1.0, 8.0])), x.shape)
    x = draw(st.sampled_from([lambda x: x, lambda x: np.maximum(x, 0), lambda x: -np.abs(x)]))(x)
    return (x + draw(st.sampled_from([0, 0, 1, -30]))).astype(np.float32)


def settle(method: Method, *batches: NDArray[Any]) -> Settled:
    accumulator = find_accumulator(method)()
    for batch in batches:
        accumulator.add(batch)
    return accumulator.settle()


def histogram_of(x: Floats) -> Histogram:
    histogram = Histogram()
    histogram.add(x)
    return histogram


@given(VALUES)
def test_minmax_is_exact(x: Floats) -> None:
    assert settle("minmax", x) == Settled(float(x.min()), float(x.max()), 0.0)


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None)  # a search takes milliseconds, on a busy machine many
@given(x=VALUES, cuts=st.lists(st.integers(1, 59)), seed=st.integers(0, 99))
def test_neither_order_nor_batches_nor_halves_matter(
    method: Method, x: Floats, cuts: list[int], seed: int
) -> None:
    at_once = settle(method, x)
    shuffled = np.random.default_rng(seed).permutation(x)
    batches = [batch for batch in np.split(shuffled, sorted(cuts)) if batch.size]
    assert settle(method, *batches) == at_once
    halves = [find_accumulator(method)() for _ in range(2)]
    for place, batch in enumerate(batches):
        halves[place % 2].add(batch)
    assert halves[0].merged(halves[1]).settle() == at_once


@given(VALUES)
def test_every_value_is_counted_in_its_bin(x: Floats) -> None:
    histogram = histogram_of(x)
    exact = x.astype(np.float64)
    bins = np.floor(exact[exact != 0] / histogram.width).astype(int)
    expected = np.bincount(bins + BINS, minlength=2 * BINS)
    np.testing.assert_array_equal(histogram.counts, expected)
    assert histogram.zeros_count == (x == 0).sum()
    largest = np.abs(exact).max()
    assert largest <= BINS * histogram.width
    assert largest == 0 or histogram.width <= largest / (BINS // 2)


def test_a_histogram_does_not_grow() -> None:
    histogram = Histogram()
    for exponent in range(-30, 30):
        histogram.add(np.full(1000, 2.0**exponent, np.float32))
    assert histogram.counts.nbytes == 2 * BINS * 8
    assert histogram.total_count == 60_000


@pytest.mark.parametrize("method", METHODS)
@settings(deadline=None)
@given(x=activations())
def test_ranges_lie_within_the_values(method: Method, x: Floats) -> None:
    settled = settle(method, x)
    assert x.min() <= settled.low <= settled.high <= x.max()
    outside = ((x < settled.low) | (x > settled.high)).mean()
    # A value on the upper edge of a bin counts to the next.
    on_edge = (x == np.float32(settled.high)).mean()
    assert outside - 1e-12 <= settled.clipped <= outside + on_edge + 1e-12


@given(activations())
def test_percentile_is_within_a_bin_of_the_exact_one(x: Floats) -> None:
    settled, width = settle("percentile", x), histogram_of(x).width
    above, below = x[x >= 0], -x[x < 0]
    if above.size:
        exact = np.quantile(above, 0.9999, method="inverted_cdf")
        assert exact <= settled.high <= exact + width
    if below.size:
        exact = np.quantile(below, 0.9999, method="inverted_cdf")
        assert exact <= -settled.low <= exact + width


def test_percentile_cuts_one_value_in_ten_thousand() -> None:
    x = np.concatenate([np.linspace(0, 1, 10_000), [50.0]]).astype(np.float32)
    settled = settle("percentile", x)
    assert 1 <= settled.high <= 1 + histogram_of(x).width
    assert settled.clipped == 1 / 10_001


def squared_error(x: NDArray[np.float64], settled: Settled) -> float:
    affine = Affine.of_range(settled.low, settled.high, "int8")
    q = np.clip(np.rint(x / affine.scale) + affine.zero_point, -128, 127)
    return float((((q - affine.zero_point) * affine.scale - x) ** 2).sum())


@settings(deadline=None)
@given(activations())
def test_mse_errs_no_more_than_minmax(x: Floats) -> None:
    histogram = histogram_of(x)
    data = np.repeat(histogram.centres, histogram.counts)
    best = squared_error(data, settle("mse", x))
    assert best <= squared_error(data, settle("minmax", x))


def test_mse_clips_an_outlier_that_costs_more_than_it_saves() -> None:
    x = np.random.default_rng(0).standard_normal(1_000_000).astype(np.float32)
    x[0] = 40
    mse, minmax = settle("mse", x), settle("minmax", x)
    assert 3 < mse.high < 20
    exact = x.astype(np.float64)
    assert squared_error(exact, mse) < 0.5 * squared_error(exact, minmax)


@settings(max_examples=30, deadline=None)  # the plain form takes its time
@given(activations())
def test_entropy_is_that_of_the_definition(x: Floats) -> None:
    histogram = histogram_of(x)
    counts = np.zeros(BINS)
    np.add.at(counts, magnitude_bins(x.astype(np.float64), histogram.width), 1)
    counts = counts[: counts.nonzero()[0].max(initial=0) + 1]
    kept = keep_entropy(histogram)
    if len(counts) <= ENTROPY_LEVELS:
        assert kept.above == BINS
        return
    legal = [
        i for i in range(ENTROPY_LEVELS, len(counts) + 1, 19) if is_kept_nearly_whole(counts, i)
    ]
    assert is_kept_nearly_whole(counts, kept.above)
    slow = [slow_divergence(counts, i) for i in (*legal, len(counts))]
    chosen = slow_divergence(counts, kept.above)
    # Sums of thousands of logarithms, in another order.
    assert chosen <= min(slow) + ENTROPY_TIE + 1e-9


def is_kept_nearly_whole(counts: NDArray[np.float64], i: int) -> bool:
    return bool(counts[i:].sum() <= counts.sum() / 100)


def magnitude_bins(x: NDArray[np.float64], width: float) -> NDArray[np.intp]:
    ratio = x[x != 0] / width
    return np.where(ratio > 0, np.floor(ratio), np.ceil(-ratio) - 1).astype(np.intp)


def slow_divergence(counts: NDArray[np.float64], i: int) -> float:
    """The divergence of one threshold, written down as the docstring has it."""
    inside = counts[:i]
    p = inside.copy()
    p[-1] += counts[i:].sum()
    q = np.zeros(i)
    size = i // ENTROPY_LEVELS
    for level in range(ENTROPY_LEVELS):
        last = level == ENTROPY_LEVELS - 1
        part = slice(level * size, i if last else (level + 1) * size)
        filled = p[part] > 0
        if filled.any():
            q[part] = np.where(filled, inside[part].sum() / filled.sum(), 0)
    p, q = p[p > 0], q[p > 0]
    if (q == 0).any():
        return float(np.inf)
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_entropy_keeps_pixels_that_lie_on_few_levels(levels: int) -> None:
    """A threshold below nearly all of them spreads each over a level of its own, and loses none."""
    rng = np.random.default_rng(0)
    dark = rng.integers(0, levels, 50_000) * rng.integers(0, 2, 50_000)
    x = (2 * dark / (levels - 1) - 1).astype(np.float32)
    settled = settle("entropy", x)
    assert settled.clipped <= 0.01
    assert settled.low == -1


def test_entropy_clips_a_lone_outlier() -> None:
    x = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)
    x[0] = 40
    settled = settle("entropy", x)
    assert 2 < settled.high < 20
    assert settled.low > -20


@pytest.mark.parametrize("method", METHODS)
def test_zeros_have_a_range(method: Method) -> None:
    assert settle(method, np.zeros((2, 3), np.float32)) == Settled(0.0, 0.0, 0.0)

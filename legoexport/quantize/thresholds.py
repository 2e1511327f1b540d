"""How far integers reach: bins of a histogram to keep on either side of zero.

What lies beyond is clipped, so that the integers within lie closer together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from legoexport.lego.scales import LIMITS, Affine
from legoexport.quantize.histogram import BINS, Histogram

# One value in so many may be clipped: 99.99 % stay.
PERCENTILE_ONE_IN = 10_000
# Levels of TensorRT's and onnxruntime's entropy calibrators.
ENTROPY_LEVELS = 128
# One value in so many may be clipped by entropy. Where values lie on few levels, as pixels do, a
# threshold below nearly all of them diverges by nothing.
ENTROPY_ONE_IN = 100
# Divergences this close are equal but for rounding.
ENTROPY_TIE = 1e-9
SEARCH_STEPS = 64
# Integers that reach less far lie closer than bins, where a histogram does not tell their errors.
LEAST_REACH = 1 / 16


class Kept(NamedTuple):
    """Bins that integers reach.

    Attributes:
        below: How many of those below zero.
        above: How many of those above.
    """

    below: int
    above: int


def keep_percentile(histogram: Histogram) -> Kept:
    """Keep 99.99 % of the values on each side of zero; zeros count as values above."""
    above = histogram.counts[BINS:].copy()
    above[0] += histogram.zeros_count
    return Kept(_percentile(histogram.counts[:BINS][::-1]), _percentile(above))


def keep_entropy(histogram: Histogram) -> Kept:
    """Keep what loses the least information by the Kullback-Leibler divergence.

    This is what onnxruntime's ``HistogramCollector.get_entropy_threshold`` defines, after
    TensorRT, for magnitudes in 128 levels. For a threshold after ``i`` bins, ``p`` are the first
    ``i`` counts, what lies beyond added to the last; ``q`` are the same counts without it, spread
    evenly, over bins that hold anything, within 128 levels of ``i // 128`` bins each, the last
    level with the rest. The threshold with the least ``sum p log(p / q)`` is chosen, and of equal
    ones the largest. Unlike there, zeros do not count, because integers hold them exactly, nothing
    is smoothed: where ``q`` is zero and ``p`` is not, the divergence is infinite; and no threshold
    is chosen that clips more than one value in a hundred.
    """
    counts = histogram.magnitudes()
    if len(counts) <= ENTROPY_LEVELS:
        return Kept(BINS, BINS)
    divergences = _divergences(counts)
    ties = np.flatnonzero(divergences <= divergences.min() + ENTROPY_TIE)
    kept = ENTROPY_LEVELS + int(ties[-1])
    return Kept(kept, kept)


def keep_mse(histogram: Histogram) -> Kept:
    """Keep what gives the least squared error of rounding to 8 bits and clipping.

    Thresholds on a grid are tried, up to the largest magnitude; each clips both sides alike.
    """
    largest = len(histogram.magnitudes())
    grid = np.linspace(largest, max(1, largest * LEAST_REACH), SEARCH_STEPS + 1)
    candidates = [Kept(int(bins), int(bins)) for bins in np.rint(grid)]
    return min(candidates, key=lambda kept: _squared_error(histogram, kept))


def reach(histogram: Histogram, kept: Kept) -> tuple[float, float]:
    """Return the range of values in the bins that are kept."""
    ends = (-kept.below * histogram.width, kept.above * histogram.width)
    return float(np.clip(histogram.low, *ends)), float(np.clip(histogram.high, *ends))


def clipped_share(histogram: Histogram, kept: Kept) -> float:
    """Return the share of values in the other bins, 0..1."""
    inside = histogram.counts[BINS - kept.below : BINS + kept.above].sum()
    return int(histogram.counts.sum() - inside) / histogram.total_count


def _percentile(counts: NDArray[np.int64]) -> int:
    """Return after how many bins at most one value in ``PERCENTILE_ONE_IN`` is left."""
    left = counts.sum() - counts.cumsum()
    return int(np.argmax(left * PERCENTILE_ONE_IN <= counts.sum())) + 1


def _squared_error(histogram: Histogram, kept: Kept) -> float:
    affine = Affine.of_range(*reach(histogram, kept), "uint8")
    used = histogram.counts > 0
    values = histogram.centres[used]
    codes = np.rint(values / affine.scale) + affine.zero_point
    codes = np.clip(codes, *LIMITS[affine.dtype])
    error = (codes - affine.zero_point) * affine.scale - values
    return float(histogram.counts[used] @ error**2)


def _divergences(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the divergence for a threshold after 128 bins, 129 and so on, up to all of them.

    Sums over bins are differences of running sums, so each threshold takes no loop of its own.
    """
    ends = np.arange(ENTROPY_LEVELS, len(counts) + 1)
    level = ends // ENTROPY_LEVELS
    seen, filled, information = _running(counts), _running(counts > 0), _running(_x_log_x(counts))
    rest = (ENTROPY_LEVELS - 1) * level
    inside, beyond = seen[ends] - seen[rest], seen[-1] - seen[ends]
    # The last bin of a threshold never is empty: something lies beyond, or the largest lies in it.
    last_bin = counts[ends - 1] + beyond
    last_height = np.maximum(inside, 1) / (filled[ends - 1] - filled[rest] + 1)
    spread = _full_levels(seen, filled, int(level[-1]))[level]
    spread += (inside + beyond) * np.log(last_height)
    own = information[ends - 1] + _x_log_x(last_bin)
    finite = (own - spread) / seen[-1] + np.log(np.maximum(seen[ends], 1) / seen[-1])
    is_legal = (inside > 0) & (beyond * ENTROPY_ONE_IN <= seen[-1])
    divergences: NDArray[np.float64] = np.where(is_legal, finite, np.inf)
    return divergences


def _full_levels(
    seen: NDArray[np.float64], filled: NDArray[np.float64], largest: int
) -> NDArray[np.float64]:
    """Return ``sum p log q`` over all levels but the last, for levels of 0, 1, 2... bins."""
    sums = np.zeros(largest + 1)
    for level in range(1, largest + 1):
        edges = np.arange(ENTROPY_LEVELS) * level
        held, bins = np.diff(seen[edges]), np.diff(filled[edges])
        sums[level] = (held * np.log(np.where(held > 0, held / np.maximum(bins, 1), 1))).sum()
    return sums


def _running(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return the sums of the first 0, 1, 2... values."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _x_log_x(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    numbers = counts.astype(np.float64)
    return numbers * np.log(np.where(numbers > 0, numbers, 1))

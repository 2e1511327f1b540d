"""A histogram that takes values as they come, whatever their size, in memory of a fixed size.

Bins are a power of two wide, and twice as wide whenever a larger value comes: then two neighbours
become one. So it depends on the values alone, not on their order or on how they were cut into
batches, and two histograms can be merged as if one had seen all.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Bins on either side of zero. The largest magnitude lies in the outer half of them.
BINS = 2048
# Bins of the smallest numbers that float32 has.
LEAST_EXPONENT = -160


class Histogram:
    """Counts of values by size.

    Attributes:
        counts: ``(2 * BINS,)`` int64 of all values but zero: bin ``BINS + k`` counts those from
            ``k * width`` up to, not including, ``(k + 1) * width``, k negative or not.
        zeros_count: How many values are exactly zero, which any integers can hold.
        low: The smallest value.
        high: The largest.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(2 * BINS, np.int64)
        self.zeros_count = 0
        self.low, self.high = np.inf, -np.inf
        self._exponent = LEAST_EXPONENT

    @property
    def width(self) -> float:
        """Width of a bin, in units of the values."""
        return math.ldexp(1.0, self._exponent)

    @property
    def total_count(self) -> int:
        """How many values it has seen."""
        return self.zeros_count + int(self.counts.sum())

    @property
    def centres(self) -> NDArray[np.float64]:
        """The value that stands for each bin, ``(2 * BINS,)``: its middle, but no unseen size."""
        middle = (np.arange(-BINS, BINS) + 0.5) * self.width
        return np.clip(middle, self.low, self.high)

    def add(self, values: NDArray[Any]) -> None:
        """Take in finite values, of any shape."""
        low, high = float(values.min()), float(values.max())
        self._reach(low, high)
        # In float64 no quotient becomes zero, which would lose its sign.
        ratio = np.multiply(values.ravel(), 1 / self.width, dtype=np.float64)
        bins = np.floor(ratio, out=ratio).astype(np.intp)
        zeros_count = values.size - int(np.count_nonzero(values))
        self.counts += np.bincount(bins + BINS, minlength=2 * BINS)
        self.counts[BINS] -= zeros_count
        self.zeros_count += zeros_count

    def merged(self, other: Histogram) -> Histogram:
        """Return the histogram of the values of both."""
        both = Histogram()
        for one in (self, other):
            both._reach(one.low, one.high)
        for one in (self, other):
            both.counts += _coarser(one.counts, both._exponent - one._exponent)
            both.zeros_count += one.zeros_count
        return both

    def magnitudes(self) -> NDArray[np.int64]:
        """Count magnitudes: entry k those from ``k * width`` on, up to the largest there is."""
        folded = self.counts[BINS:] + self.counts[:BINS][::-1]
        return np.trim_zeros(folded, "b")

    def _reach(self, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        largest = max(-low, high)
        if largest <= 0:
            return
        # frexp gives the power of two above.
        needed = math.frexp(largest)[1] - BINS.bit_length() + 1
        if needed > self._exponent:
            self.counts = _coarser(self.counts, needed - self._exponent)
            self._exponent = needed


def _coarser(counts: NDArray[np.int64], doublings: int) -> NDArray[np.int64]:
    """Return ``counts`` in bins ``2 ** doublings`` times as wide."""
    # After so many all lies in the two bins beside zero, and stays there.
    for _ in range(min(doublings, BINS.bit_length())):
        half = counts.reshape(-1, 2).sum(axis=1)
        counts = np.pad(half, BINS // 2)
    return counts

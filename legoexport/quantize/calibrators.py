"""What calibration keeps of an activation while images pass, and the range it settles on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, Self, get_args

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.quantize.histogram import Histogram
from legoexport.quantize.thresholds import (
    Kept,
    clipped_share,
    keep_entropy,
    keep_mse,
    keep_percentile,
    reach,
)

Method = Literal["minmax", "percentile", "entropy", "mse"]
METHODS: tuple[Method, ...] = get_args(Method)
DEFAULT_METHOD: Method = "minmax"


@dataclass(frozen=True)
class Settled:
    """The range of an activation.

    Attributes:
        low: Lower end.
        high: Upper end.
        clipped: Share of its values outside, 0..1.
    """

    low: float
    high: float
    clipped: float


class Accumulator(Protocol):
    """Keeps what a method needs of all values of one activation, in memory of a fixed size."""

    def add(self, values: NDArray[Any]) -> None:
        """Take in more values, of any shape."""
        ...

    def merged(self, other: Self) -> Self:
        """Return what would have been kept of the values of both."""
        ...

    def settle(self) -> Settled:
        """Return the range."""
        ...


class MinMax:
    """The smallest and the largest value: nothing is clipped."""

    def __init__(self, low: float = np.inf, high: float = -np.inf) -> None:
        self.low, self.high = low, high

    def add(self, values: NDArray[Any]) -> None:
        """Take in more values; NaN stays."""
        self.low = float(np.minimum(self.low, values.min()))
        self.high = float(np.maximum(self.high, values.max()))

    def merged(self, other: Self) -> Self:
        """Return the extremes of both."""
        return type(self)(min(self.low, other.low), max(self.high, other.high))

    def settle(self) -> Settled:
        """Return the extremes."""
        return Settled(self.low, self.high, 0.0)


class Clipping:
    """A histogram of the values, some of which may be clipped.

    Args:
        keep: Says how much of a histogram to keep.
    """

    def __init__(self, keep: Callable[[Histogram], Kept]) -> None:
        self._keep = keep
        self.histogram = Histogram()

    def add(self, values: NDArray[Any]) -> None:
        """Take in more values."""
        self.histogram.add(values)

    def merged(self, other: Self) -> Self:
        """Return the histogram of the values of both."""
        both = type(self)(self._keep)
        both.histogram = self.histogram.merged(other.histogram)
        return both

    def settle(self) -> Settled:
        """Return the range of what is kept."""
        histogram = self.histogram
        if not histogram.counts.any():
            return Settled(histogram.low, histogram.high, 0.0)
        kept = self._keep(histogram)
        return Settled(*reach(histogram, kept), clipped_share(histogram, kept))


ACCUMULATORS: Mapping[Method, Callable[[], Accumulator]] = {
    "minmax": MinMax,
    "percentile": partial(Clipping, keep_percentile),
    "entropy": partial(Clipping, keep_entropy),
    "mse": partial(Clipping, keep_mse),
}


def find_accumulator(method: str) -> Callable[[], Accumulator]:
    """Return what makes the accumulators of ``method``.

    Raises:
        UsageError: There is no such method.
    """
    for name, accumulator in ACCUMULATORS.items():
        if name == method:
            return accumulator
    raise UsageError.unknown("calibration method", method, METHODS)

"""What calibration keeps of an activation while images pass, and the range it settles on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, get_args

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError

Method = Literal["minmax"]
METHODS: tuple[Method, ...] = get_args(Method)


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
        both = type(self)(self.low, self.high)
        both.add(np.array([other.low, other.high]))
        return both

    def settle(self) -> Settled:
        """Return the extremes."""
        return Settled(self.low, self.high, 0.0)


ACCUMULATORS: Mapping[Method, Callable[[], Accumulator]] = {"minmax": MinMax}


def find_accumulator(method: str) -> Callable[[], Accumulator]:
    """Return what makes the accumulators of ``method``.

    Raises:
        UsageError: There is no such method.
    """
    for name, accumulator in ACCUMULATORS.items():
        if name == method:
            return accumulator
    raise UsageError.unknown("calibration method", method, METHODS)

"""Integer arithmetic, stated once: exact sums, one rounding, and where that rounding is in doubt.

A layer sums products of integers, which is exact, and brings the sum to the steps of its output::

    y = clip(round(sum * factor) + zero_point, lowest, highest)        halves to even

ONNX Runtime multiplies in float32. Where ``sum * factor`` lies within that rounding of a tie, both
neighbours are right. Everywhere else one integer is, and any other is wrong.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.lego.scales import LIMITS, Affine

Reals = NDArray[np.float64]
Integers = NDArray[np.int64]

# The integer sum becomes a float32; the factor is a product and a quotient of float32; their
# product is a float32 again: four roundings, each by at most half a unit in the last place.
ROUNDINGS = 4 * 2.0**-24
# What float64 itself loses between here and there.
FLOAT64_SLACK = 2.0**-40


@dataclass(frozen=True)
class Window:
    """How a kernel moves over its input, along each spatial axis.

    Attributes:
        stride: In pixels.
        before: Zeros added in front, in pixels.
        after: Zeros added behind, in pixels.
        dilation: Distance between taps, in pixels.
        group: Number of groups that channels fall into.
    """

    stride: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    dilation: tuple[int, ...]
    group: int = 1

    @classmethod
    def symmetric(
        cls,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
        group: int = 1,
    ) -> Window:
        """The same zeros on both sides of an axis, as PyTorch's layers have them."""
        return cls(stride, padding, padding, dilation, group)

    def padded(self, x: NDArray[Any], value: float = 0) -> NDArray[Any]:
        """Return ``x (N, c, ...)`` with ``value`` around it."""
        sides = zip(self.before, self.after, strict=True)
        return np.pad(x, [(0, 0), (0, 0), *sides], constant_values=value)

    def taps(self, x: NDArray[Any], kernel: tuple[int, ...]) -> Iterator[NDArray[Any]]:
        """Yield, tap after tap, what it sees of the padded ``x (N, c, ...)``."""
        sizes = self.output_size(x.shape[2:], kernel)
        for tap in itertools.product(*map(range, kernel)):
            starts = [t * d for t, d in zip(tap, self.dilation, strict=True)]
            stops = [
                start + (size - 1) * step + 1
                for start, size, step in zip(starts, sizes, self.stride, strict=True)
            ]
            yield x[(slice(None), slice(None), *map(slice, starts, stops, self.stride))]

    def output_size(self, size: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
        """Positions of the kernel along each axis of a padded input of that ``size``."""
        axes = zip(size, kernel, self.dilation, self.stride, strict=True)
        return tuple((s - (k - 1) * d - 1) // step + 1 for s, k, d, step in axes)


def convolve(x: Integers, weight: Integers, window: Window) -> Integers:
    """Return the exact sums of products.

    Args:
        x: ``(N, c, ...)``, the integers with their zero point taken off, so that zeros pad.
        weight: ``(n, c / group, ...)``.
        window: How ``weight`` moves.
    """
    group, n = window.group, len(weight)
    padded = window.padded(x.astype(np.float64))
    spatial = window.output_size(padded.shape[2:], weight.shape[2:])
    matrices = weight.reshape(group, n // group, weight.shape[1], -1).astype(np.float64)
    # float64 holds integers below 2**53 as they are, and has the faster matrix product.
    sums = np.zeros((len(x), group, n // group, math.prod(spatial)))
    for t, seen in enumerate(window.taps(padded, weight.shape[2:])):
        sums += matrices[..., t] @ seen.reshape(len(x), group, weight.shape[1], -1)
    return sums.reshape(len(x), n, *spatial).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Accepted:
    """The integers that are right for each entry of a value.

    Attributes:
        nearest: What exact arithmetic gives.
        low: The smallest that is right.
        high: The largest that is right.
    """

    nearest: Integers
    low: Integers
    high: Integers

    @property
    def doubt(self) -> Integers:
        """How many steps lie between the smallest and the largest that is right; mostly 0."""
        return self.high - self.low

    def is_wrong(self, actual: NDArray[Any]) -> NDArray[np.bool_]:
        """Whether each entry of ``actual`` is none of the right ones."""
        return self.excess(actual) > 0

    def excess(self, actual: NDArray[Any]) -> Integers:
        """How many steps each entry of ``actual`` is away from the right ones."""
        integers = actual.astype(np.int64)
        beyond: Integers = np.maximum(np.maximum(self.low - integers, integers - self.high), 0)
        return beyond


def settle(steps: Reals, doubt: Reals, affine: Affine) -> Accepted:
    """Round to the integers of ``affine``.

    Args:
        steps: Numbers in units of its scale, before the zero point is added.
        doubt: How far from ``steps`` the runtime may be before it rounds, in the same units.
        affine: Of the value.
    """

    def rounded(numbers: Reals) -> Integers:
        lowest, highest = LIMITS[affine.dtype]
        clipped: Reals = np.clip(np.rint(numbers) + affine.zero_point, lowest, highest)
        return clipped.astype(np.int64)

    wide = doubt + FLOAT64_SLACK
    return Accepted(rounded(steps), rounded(steps - wide), rounded(steps + wide))


def requantize(sums: Integers, factor: Reals, doubt: Reals | float, affine: Affine) -> Accepted:
    """Bring integer sums to the steps of their output, as ONNX Runtime does in float32.

    Args:
        sums: ``(N, n, ...)``.
        factor: ``(n,)`` steps of the output in one unit of a sum.
        doubt: How far the runtime's sums may be from these, ``(N, n, ...)`` or ``(n, 1...)``.
        affine: Of the output.
    """
    each = factor.reshape(-1, *[1] * (sums.ndim - 2))
    steps = sums * each
    return settle(steps, ROUNDINGS * np.abs(steps) + doubt * each, affine)

"""IntegerDense: a Conv or Gemm in integers, from its weights and the scales around it.

acc[n] = sum (x - zero_x) * code[n]  +  round(bias[n] / float32(scale_x * scale[n]))
y      = clip(round(acc * scale_x * scale[n] / scale_y) + zero_y, lowest, highest)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.lego.scales import Affine
from legoexport.parity.integer.arithmetic import (
    Accepted,
    Integers,
    Reals,
    Window,
    convolve,
    requantize,
)

# A bias takes at most this much of an int32, so that no sum overflows.
LARGEST_BIAS = 2.0**30
# Rows of zeros need a scale, and any will do.
SCALE_OF_NOTHING = np.float32(1)
LEAST_SCALE = np.finfo(np.float32).tiny
# Weights in shorter rows were not rounded before, and their rows are scaled as their biases allow.
SHORTEST_ROW = 8
LEAST_ROUNDED_SCALE = 2.0**-90
# The quotient of a bias and its scale, where it is computed in float32: two roundings.
BIAS_ROUNDINGS = 2 * 2.0**-24


def row_scale(largest: Reals, bias: Reals, step: float, largest_code: int) -> NDArray[np.float32]:
    """Return the scale of rows of weights.

    Args:
        largest: ``(n,)`` magnitude of the largest weight in each.
        bias: ``(n,)``.
        step: Scale of the integers that they multiply.
        largest_code: Of a weight.
    """
    least = np.abs(bias) / (step * LARGEST_BIAS)
    scale = np.maximum(largest / largest_code, least).astype(np.float32)
    return np.where(scale < LEAST_SCALE, SCALE_OF_NOTHING, scale)


def rounded_scale(rows: Reals, bias: Reals, step: float, largest_code: int) -> NDArray[np.float32]:
    """Return the scale of rows ``(n, ...)`` that were rounded before, unless a bias forbids it."""
    largest = np.abs(rows).reshape(len(rows), -1).max(axis=1)
    scale = (largest / largest_code).astype(np.float32)
    scale = np.where(scale < LEAST_ROUNDED_SCALE, SCALE_OF_NOTHING, scale)
    fits = np.abs(bias) <= LARGEST_BIAS * step * scale.astype(np.float64)
    if rows[0].size >= SHORTEST_ROW and fits.all():
        return scale
    return row_scale(largest, bias, step, largest_code)


@dataclass(frozen=True, eq=False)
class IntegerDense:
    """Rows of weights as integers.

    Attributes:
        codes: ``(n, c / group, ...)``; ``(n, c)`` for a Gemm.
        scale: ``(n,)`` float32.
        bias: ``(n,)`` float64, in real numbers.
        window: How the codes move; None for a Gemm.
    """

    codes: Integers
    scale: NDArray[np.float32]
    bias: Reals
    window: Window | None

    @classmethod
    def of(
        cls, weight: NDArray[Any], bias: Reals, window: Window | None, x: Affine, largest_code: int
    ) -> IntegerDense:
        """Find the integers of weights ``(n, ...)`` that were rounded, in a layer that reads ``x``.

        They are those that the weights were rounded to.
        """
        rows = weight.astype(np.float64)
        scale = rounded_scale(rows, bias, x.scale, largest_code)
        return cls.scaled(rows, scale, bias, window)

    @classmethod
    def scaled(
        cls, rows: Reals, scale: NDArray[np.float32], bias: Reals, window: Window | None
    ) -> IntegerDense:
        """Round rows ``(n, ...)`` in units of ``scale (n,)``."""
        codes = np.rint(rows / scale.astype(np.float64).reshape(-1, *[1] * (rows.ndim - 1)))
        return cls(codes.astype(np.int64), scale, bias, window)

    @property
    def weight(self) -> NDArray[np.float32]:
        """The weights that the codes stand for, shaped like them."""
        shape = (-1, *[1] * (self.codes.ndim - 1))
        return self.codes.astype(np.float32) * self.scale.reshape(shape)

    def sums(self, x_q: NDArray[Any], x: Affine) -> tuple[Integers, Reals]:
        """Return the int32 sums ``(N, n, ...)`` and by how much the runtime's may differ.

        The products are exact; a bias next to a tie may have been rounded to either side.
        """
        centred = x_q.astype(np.int64) - x.zero_point
        if self.window is None:
            products = centred @ self.codes.T
        else:
            products = convolve(centred, self.codes, self.window)
        unit = (np.float32(x.scale) * self.scale).astype(np.float64)
        steps = self.bias / unit
        doubt = BIAS_ROUNDINGS * np.abs(steps)
        shape = (-1, *[1] * (products.ndim - 2))
        apart = np.rint(steps + doubt) - np.rint(steps - doubt)
        bias = np.rint(steps).astype(np.int64)
        return products + bias.reshape(shape), apart.reshape(shape)

    def expected(self, x_q: NDArray[Any], x: Affine, y: Affine) -> Accepted:
        """Return the output for integers ``x_q (N, c, ...)``."""
        sums, doubt = self.sums(x_q, x)
        return requantize(sums, x.scale * self.scale.astype(np.float64) / y.scale, doubt, y)

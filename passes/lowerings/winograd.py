"""Winograd's minimal filtering F(f, 3): f outputs of a 3-tap filter from f + 2 multiplications.

With a = f + 2 inputs d and 3 taps g, and polynomials evaluated at a points (Cook-Toom)::

    y = A^T [ (G g) * (B^T d) ]         y[t] = sum_k g[k] d[t + k],   t < f

    A^T[t, i] = p_i^t      G[i, k] = p_i^k / prod_{j != i} (p_i - p_j)
    B^T[i, :] = coefficients of prod_{j != i} (x - p_j)

and for the point at infinity A^T[t] = [t = f-1], G[k] = [k = 2], B^T = prod_j (x - p_j). Opposite
points +p, -p keep rows of B^T short. Every sum is exact in rationals; float64 holds the result.

The points decide how rounding grows. Those below have the smallest root-mean-square error in
float32 among symmetric sets on a grid of eighths and entries that float32 holds (nearly) exactly:
3.3e-7 of the output's for f = 4 (textbook +-1, +-2: 4.8e-7; on both axes 7.5e-7 against 1.7e-6) and
1.2e-6 for f = 7 (+-1, +-2, +-1/2, -3/2, infinity: 2.5e-6). Computing G g in float64 gains only 3 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

TAPS = 3


@dataclass(frozen=True, eq=False)
class Transforms:
    """The three matrices of F(f, 3), float64.

    Attributes:
        output: A^T, ``(f, f + 2)``.
        filter: G, ``(f + 2, 3)``.
        input: B^T, ``(f + 2, f + 2)``.
    """

    output: NDArray[np.float64]
    filter: NDArray[np.float64]
    input: NDArray[np.float64]

    @property
    def tile(self) -> int:
        """Outputs of one tile, f."""
        return int(self.output.shape[0])

    @property
    def points(self) -> int:
        """Multiplications of one tile, f + 2."""
        return int(self.output.shape[1])


@dataclass(frozen=True)
class Taps:
    """The part of a row of B^T that a convolution has to hold.

    Attributes:
        offset: Position of the first tap.
        dilation: Distance between taps.
        values: The taps.
    """

    offset: int
    dilation: int
    values: tuple[float, ...]

    @property
    def end(self) -> int:
        """Position after the last tap."""
        return self.offset + self.dilation * (len(self.values) - 1) + 1


def cook_toom(tile: int, points: Sequence[Fraction | int]) -> Transforms:
    """Construct F(tile, 3) from distinct finite points, and infinity if one is missing to f + 2."""
    finite = [Fraction(point) for point in points]
    rows = [_finite_row(finite, i, tile) for i in range(len(finite))]
    if len(finite) == tile + TAPS - 2:
        top = [Fraction(t == tile - 1) for t in range(tile)]
        last = [Fraction(k == TAPS - 1) for k in range(TAPS)]
        rows.append((top, last, _polynomial(finite, tile + TAPS - 1)))
    output, taps, inputs = (
        np.array(matrix, dtype=np.float64) for matrix in zip(*rows, strict=True)
    )
    return Transforms(np.ascontiguousarray(output.T), taps, inputs)


def taps_of(row: NDArray[np.float64], first: int) -> Taps:
    """Return the taps of a row of B^T from ``first`` on, or from before if it starts before."""
    places = [int(place) for place in np.flatnonzero(row)]
    start = min(places[0], first)
    even = start == places[0] and all((b - a) % 2 == 0 for a, b in pairwise(places))
    dilation = 2 if even and len(places) > 1 else 1
    values = row[start : places[-1] + 1 : dilation]
    return Taps(start, dilation, tuple(float(value) for value in values))


_Row = tuple[list[Fraction], list[Fraction], list[Fraction]]


def _finite_row(points: list[Fraction], i: int, tile: int) -> _Row:
    """Column of A^T, row of G and row of B^T that belong to point i."""
    point, others = points[i], points[:i] + points[i + 1 :]
    scale = Fraction(1)
    for other in others:
        scale *= point - other
    powers = [point**t for t in range(max(tile, TAPS))]
    taps = [power / scale for power in powers[:TAPS]]
    return powers[:tile], taps, _polynomial(others, tile + TAPS - 1)


def _polynomial(roots: Sequence[Fraction], length: int) -> list[Fraction]:
    """Coefficients of prod (x - root), lowest power first, padded to ``length`` with zeros."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [*(-root * value for value in coefficients), Fraction(0)]
        coefficients = [high + low for high, low in zip(shifted, scaled, strict=True)]
    return coefficients + [Fraction(0)] * (length - len(coefficients))


F4 = cook_toom(4, [0, *(s * Fraction(p, 8) for p in (5, 12) for s in (1, -1))])
F7 = cook_toom(7, [0, *(s * Fraction(p, 8) for p in (4, 7, 12, 24) for s in (1, -1))])

"""Pictures of another size, scaled as in training: Pillow's ``ImageOps.fit``, bicubic, bit by bit.

A picture is cut to the aspect ratio around its centre and scaled along one axis, then along the
other. Each pass is a sum of pixels with weights in fixed point, rounded to a grey level:

    y = clip((sum_k weight[k] * x[first + k] + 2**21) >> 22, 0, 255)

The weights are Keys' cubic with a = -1/2, spread by the reduction so that every pixel counts. The
pass along the rows comes first unless the height shrinks by more than twice what the width does;
since each pass rounds, the order is part of the result.

Source: Pillow's ``src/libImaging/Resample.c`` and ``src/PIL/ImageOps.py``; the order was found by
experiment with Pillow 13.0, and older versions always take the rows first.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.lego.normalization import GREY_LEVELS

BITS = 22
CUBIC_A, CUBIC_SUPPORT = -0.5, 2.0
# Far above any picture that a network is trained on or given, and below where Pillow warns.
MOST_PIXELS = 50_000_000
LEGAL = f"HxW in pixels, such as 480x640, {MOST_PIXELS} pixels at most"
Size = tuple[int, int]
# Of a size (h, w), and of a picture (h, w, c).
Axis = Literal[0, 1]
HEIGHT: Axis = 0
WIDTH: Axis = 1


@dataclass(frozen=True, eq=False)
class Taps:
    """What one pass sums for each pixel that it gives.

    Attributes:
        first: ``(n,)`` the first pixel that counts.
        weights: ``(n, k)`` integers, 2**22 for one; zero behind the last pixel that counts.
    """

    first: NDArray[np.int64]
    weights: NDArray[np.int64]

    @property
    def span(self) -> tuple[int, int]:
        """The first pixel that any sum takes, and the one behind the last."""
        at, k = np.nonzero(self.weights)
        places = self.first[at] + k
        return int(places.min()), int(places.max()) + 1

    def matrix(self, size: int) -> NDArray[np.int64]:
        """Return ``(n, size)``, the weight of each of ``size`` pixels."""
        places = np.arange(size) - self.first[:, None]
        inside = (places >= 0) & (places < self.weights.shape[1])
        found = np.take_along_axis(self.weights, np.where(inside, places, 0), axis=1)
        return np.where(inside, found, 0)


@dataclass(frozen=True)
class Resize:
    """How pictures of one size become as large as a network takes them.

    Attributes:
        source: ``(h, w)`` of the pictures, in pixels.
        size: ``(h, w)`` of the network's input.

    Raises:
        UsageError: They are no sizes.
    """

    source: Size
    size: Size

    def __post_init__(self) -> None:
        check_size(self.source)
        check_size(self.size)

    @property
    def passes(self) -> tuple[tuple[Axis, Taps], ...]:
        """The axis of each pass and what it sums, in their order; an axis that stays has none."""
        shrinks = [given - wanted for given, wanted in zip(self.source, self.size, strict=True)]
        columns_first = shrinks[HEIGHT] > max(0, 2 * shrinks[WIDTH])
        order = (HEIGHT, WIDTH) if columns_first else (WIDTH, HEIGHT)
        return tuple((axis, self._taps(axis)) for axis in order if not self._stays(axis))

    def applied(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return pictures ``(N, H, W, c)`` as ``(N, h, w, c)``."""
        for axis, taps in self.passes:
            # Integers below 2**53, so that floats lose nothing in any order of addition.
            weights = taps.matrix(self.source[axis]).astype(np.float64)
            moved = np.moveaxis(pixels, axis + 1, -1).astype(np.float64)
            pixels = np.moveaxis(_levels(moved @ weights.T), -1, axis + 1)
        return pixels

    def to_json(self) -> str:
        """Return it as the metadata of a converted file has it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, source: str) -> Resize:
        """Read what ``to_json`` wrote.

        Raises:
            UsageError: ``text`` is something else; ``source`` is named in the message.
        """
        try:
            record = json.loads(text)
            pairs = ((int(a), int(b)) for a, b in (record["source"], record["size"]))
            return cls(*pairs)
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise UsageError(f"{source} is damaged", received=error, legal=LEGAL) from None

    def _box(self, axis: Axis) -> tuple[np.float32, np.float32]:
        """Return where the cut begins and ends, as Pillow hands it on."""
        ratio = self.size[WIDTH] / self.size[HEIGHT]
        whole = self.source[WIDTH] / self.source[HEIGHT]
        cut = [float(one) for one in self.source]
        if whole > ratio:
            cut[WIDTH] = ratio * self.source[HEIGHT]
        elif whole < ratio:
            cut[HEIGHT] = self.source[WIDTH] / ratio
        low = (self.source[axis] - cut[axis]) * 0.5
        return np.float32(low), np.float32(low + cut[axis])

    def _stays(self, axis: Axis) -> bool:
        low, high = self._box(axis)
        return bool(low == 0 and high == self.size[axis] == self.source[axis])

    def _taps(self, axis: Axis) -> Taps:
        low, high = self._box(axis)
        size, count = self.source[axis], self.size[axis]
        scale = float(high - low) / count
        spread = max(scale, 1.0)
        support, per_pixel = CUBIC_SUPPORT * spread, 1.0 / spread
        first = np.zeros(count, np.int64)
        weights = np.zeros((count, math.ceil(support) * 2 + 1), np.int64)
        for i in range(count):
            centre = float(low) + (i + 0.5) * scale
            first[i] = max(int(centre - support + 0.5), 0)
            end = min(int(centre + support + 0.5), size)
            found = [_cubic((k - centre + 0.5) * per_pixel) for k in range(first[i], end)]
            weights[i, : len(found)] = _fixed(found)
        return Taps(first, weights)


def check_size(size: Size) -> None:
    """Hold ``(h, w)`` to what a picture can have.

    Raises:
        UsageError: It is no size.
    """
    height, width = size
    if min(height, width) < 1 or height * width > MOST_PIXELS:
        raise UsageError("no size of pictures", received=f"{height}x{width}", legal=LEGAL)


def _levels(sums: NDArray[np.float64]) -> NDArray[np.uint8]:
    rounded = np.floor((sums + 2 ** (BITS - 1)) / 2**BITS)
    levels: NDArray[np.uint8] = np.clip(rounded, 0, GREY_LEVELS).astype(np.uint8)
    return levels


def _fixed(weights: list[float]) -> list[int]:
    total = 0.0
    for one in weights:  # not sum(), which newer Pythons compensate
        total += one
    scaled = [one / (total or 1.0) * (1 << BITS) for one in weights]
    return [int(one + math.copysign(0.5, one)) for one in scaled]


def _cubic(x: float) -> float:
    x = abs(x)
    if x < 1:
        return ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * CUBIC_A if x < CUBIC_SUPPORT else 0.0

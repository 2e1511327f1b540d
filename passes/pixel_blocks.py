"""Sums of neighbouring pixels in blocks, so that a band matrix becomes a few small full ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.lego.normalization import GREY_LEVELS
from legoexport.lego.resampling import Taps

# Sums that share a window. The more, the more zeros are multiplied; the fewer, the more often is a
# pixel read, and the smaller are the products.
MOST_BLOCK = 8
# A weight is split into a multiple of 2**11 and a remainder.
LOW_BITS = 11
# Integers up to here are exact in float32, which has 24 bits.
EXACT_IN_FLOAT32 = 2**24


@dataclass(frozen=True, eq=False)
class Blocks:
    """Sums in blocks, each of which reads one window of pixels.

    Attributes:
        taps: What is summed.
        size: Number of pixels.
        block: Sums in a block.
        starts: ``(blocks,)`` where each window begins.
        window: Pixels in a window.
    """

    taps: Taps
    size: int
    block: int
    starts: NDArray[np.int64]
    window: int

    @classmethod
    def of(cls, taps: Taps, size: int) -> Blocks:
        """Divide the sums over ``size`` pixels into blocks of nearly one size."""
        count = len(taps.first)
        blocks_count = -(-count // MOST_BLOCK)
        block = -(-count // blocks_count)
        behind = taps.weights.shape[1] - np.argmax(taps.weights[:, ::-1] != 0, axis=1)
        ends, starts = taps.first + behind, taps.first[::block]
        last = np.maximum.reduceat(ends, np.arange(0, count, block))
        return cls(taps, size, block, starts, int((last - starts).max()))

    @property
    def parts(self) -> int:
        """In how many parts weights are summed: two where float32 holds both sums exactly."""
        high = np.round(self.taps.weights / 2**LOW_BITS)
        low = self.taps.weights - high * 2**LOW_BITS
        largest = max(np.abs(part).sum(axis=1).max() for part in (high, low))
        return 2 if largest * GREY_LEVELS <= EXACT_IN_FLOAT32 else 1

    @property
    def dtype(self) -> type[np.float32 | np.float64]:
        """What holds the sums exactly, in any order of addition."""
        return np.float64 if self.parts == 1 else np.float32

    @property
    def kind(self) -> ir.DataType:
        """The same in words of ONNX."""
        return ir.DataType.from_numpy(np.dtype(self.dtype))

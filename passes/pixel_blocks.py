"""Sums of neighbouring pixels in blocks, so that a band matrix becomes a few small full ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from legoexport.lego.resampling import Taps

# Sums that share a window. The more, the more zeros are multiplied; the fewer, the smaller and
# slower are the products.
MOST_BLOCK = 16


@dataclass(frozen=True, eq=False)
class Blocks:
    """Sums in blocks, each of which reads one window of pixels.

    Attributes:
        taps: What is summed, of pixels counted from the first that counts.
        size: Number of those pixels.
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

"""Constant arithmetic that makes the blocks of a pass of the few weights of each output.

    blocks[j, i, p] = weights[i, clip(p - shift[j, i])]        0 left and right of its weights

A session folds it when it is created.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from legoexport.passes.pixel_blocks import LOW_BITS, Blocks
from legoexport.passes.pixel_draft import PixelDraft

SUM_AXIS = 1


def add_places(draft: PixelDraft, blocks: Blocks) -> ir.Value:
    """Return the pixels of each window, ``(blocks, window)``; behind the last it repeats the last.

    Such a pixel has no weight.
    """
    draft = draft.within("window")
    steps = draft.constant("steps", np.arange(blocks.window))
    starts = draft.constant("starts", blocks.starts[:, None])
    ends = [draft.constant(*one) for one in (("first", 0), ("last", blocks.size - 1))]
    return draft.node("places", "Clip", draft.node("counted", "Add", starts, steps), *ends)


def add_weights(draft: PixelDraft, blocks: Blocks) -> ir.Value:
    """Return what each sum takes of each pixel of its window, in 2**-11 of what the weights count.

    Returns:
        ``(blocks, parts * block, window)``, whole numbers before remainders.
    """
    draft = draft.within("weight")
    unit = draft.constant("unit", 0.5**LOW_BITS, blocks.dtype)
    cast = draft.cast("cast", _found(draft, blocks), blocks.kind)
    weights = draft.node("weight", "Mul", cast, unit)
    if blocks.parts == 1:
        return weights
    high = draft.node("high", "Round", weights)
    low = draft.node("low", "Sub", weights, high)
    return draft.node("both", "Concat", high, low, attributes={"axis": SUM_AXIS})


def _found(draft: PixelDraft, blocks: Blocks) -> ir.Value:
    """Return the weights ``(blocks, block, window)`` as integers."""
    bordered = np.pad(blocks.taps.weights, ((0, 0), (1, 1)))
    count, taps_count = bordered.shape
    sums = np.minimum(np.arange(len(blocks.starts) * blocks.block), count - 1)
    shift = blocks.taps.first[sums] - np.repeat(blocks.starts, blocks.block) - 1
    by_sum = (len(blocks.starts), blocks.block, 1)
    steps = draft.constant("steps", np.arange(blocks.window))
    shifts = draft.constant("shift", shift.reshape(by_sum))
    ends = [draft.constant(*one) for one in (("left", 0), ("right", taps_count - 1))]
    column = draft.node("column", "Clip", draft.node("moved", "Sub", steps, shifts), *ends)
    row = draft.constant("row", (sums * taps_count).reshape(by_sum))
    taps = draft.constant("taps", bordered.reshape(-1))
    return draft.node("found", "Gather", taps, draft.node("at", "Add", row, column))

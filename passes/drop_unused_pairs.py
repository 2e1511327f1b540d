"""Drop the (fragment, filter) pairs, and with them the filters, that no output uses.

    coefficient[i, n] == 0   =>   index[i, n] is free: point it at a filter fragment i uses anyway
    lego  <- lego[used]      index <- position of index in used

What is left is exactly what the index table names, so a lowering computes nothing else.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from legoexport.lego.frozen import FrozenLego, IndexArray
from legoexport.passes import lego_op


class DropUnusedPairs(ir.passes.InPlacePass):
    """Shrink the bank of every LegoConv2d node to the filters that count.

    Declines a layer that uses its whole bank and has no zero coefficient.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Shrink in place; report whether any layer shrank."""
        modified = False
        for node in list(lego_op.find(model.graph)):
            compact = compact_bank(node.frozen)
            if compact is not None:
                lego_op.write_tables(node, compact)
                modified = True
        return ir.passes.PassResult(model, modified=modified)


def compact_bank(frozen: FrozenLego) -> FrozenLego | None:
    """Return ``frozen`` without unused pairs and filters, or None if it has none."""
    index = np.stack([_reuse(*row) for row in zip(frozen.index, frozen.coefficient, strict=True)])
    used = np.unique(index)
    if len(used) == frozen.m and np.array_equal(index, frozen.index):
        return None
    return replace(frozen, lego=frozen.lego[used], index=np.searchsorted(used, index))


def _reuse(index: IndexArray, coefficient: np.ndarray) -> IndexArray:
    idle = coefficient == 0
    if not idle.any():
        return index
    anchor = index[~idle][0] if not idle.all() else index[0]
    return np.where(idle, anchor, index)

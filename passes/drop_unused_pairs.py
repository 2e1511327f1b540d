"""Drop the (fragment, filter) pairs, and with them the filters, that no output uses.

    coefficient[i, n] == 0   =>   index[i, n] is free: point it at a filter fragment i uses anyway
    lego  <- lego[used]      index <- position of index in used

What is left is exactly what the index tables name, so a lowering computes nothing else. Layers that
share a bank keep the filters that any of them uses, so that they still share it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from legoexport.lego.frozen import FrozenLego, IndexArray
from legoexport.passes import lego_op
from legoexport.passes.conditions import ensure, lego_problems, require


class DropUnusedPairs(ir.passes.InPlacePass):
    """Shrink the bank of every LegoConv2d node to the filters that count.

    Declines a layer that uses its whole bank and has no zero coefficient.
    """

    def requires(self, model: ir.Model) -> None:
        """Every LegoConv2d node has its tables, in the shapes of one Lego layer."""
        require(self, lego_problems(model))

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Shrink in place; report whether any layer shrank."""
        shrunk = [_shrink(sharing) for sharing in _by_bank(lego_op.find(model.graph))]
        return ir.passes.PassResult(model, modified=any(shrunk))

    def ensures(self, model: ir.Model) -> None:
        """Every LegoConv2d node still has them."""
        ensure(self, lego_problems(model))


def compact_banks(sharing: Sequence[FrozenLego]) -> list[FrozenLego] | None:
    """Return layers of one bank without unused pairs and filters; None if they have none."""
    indices = [_without_idle(frozen) for frozen in sharing]
    used = np.unique(np.concatenate([index.ravel() for index in indices]))
    unchanged = [
        np.array_equal(frozen.index, index) for frozen, index in zip(sharing, indices, strict=True)
    ]
    if len(used) == sharing[0].m and all(unchanged):
        return None
    return [
        replace(frozen, lego=frozen.lego[used], index=np.searchsorted(used, index))
        for frozen, index in zip(sharing, indices, strict=True)
    ]


def _shrink(sharing: Sequence[lego_op.LegoNode]) -> bool:
    compact = compact_banks([node.frozen for node in sharing])
    if compact is None:
        return False
    for node, frozen in zip(sharing, compact, strict=True):
        lego_op.write_tables(node, frozen)
    return True


def _by_bank(nodes: Iterable[lego_op.LegoNode]) -> list[list[lego_op.LegoNode]]:
    """Group the layers whose banks hold the same filters in the same order."""
    groups: dict[tuple[tuple[int, ...], bytes], list[lego_op.LegoNode]] = {}
    for node in nodes:
        bank = node.frozen.lego
        key = (bank.shape, hashlib.sha256(bank.tobytes()).digest())
        groups.setdefault(key, []).append(node)
    return list(groups.values())


def _without_idle(frozen: FrozenLego) -> IndexArray:
    """Return the index table with every entry of coefficient 0 pointed at a filter in use."""
    rows = zip(frozen.index, frozen.coefficient, strict=True)
    return np.stack([_reuse(index, coefficient) for index, coefficient in rows])


def _reuse(index: IndexArray, coefficient: np.ndarray) -> IndexArray:
    idle = coefficient == 0
    if not idle.any():
        return index
    anchor = index[~idle][0] if not idle.all() else index[0]
    return np.where(idle, anchor, index)

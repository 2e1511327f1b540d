"""Two ways to show the o fragments of a map to one convolution.

AsGroups   X stays (b, o*c', h, w), the convolution has a group per fragment and in each only the
           filters that the fragment uses: nothing superfluous is multiplied, but a filter that
           several fragments use is expanded, stored in memory and read once for each.
AsBatch    X becomes (b*o, c', h, w) and the convolution has the bank itself for weight: each filter
           exists once, but every fragment meets all m of them.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import onnx_ir as ir

from legoexport.frozen import FrozenLego, IndexArray
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site

# ONNX Runtime's blocked layout takes a grouped Conv only with whole blocks per group: 8 channels
# with AVX2 or NEON, 16 with AVX-512.
BLOCK = 16


class Fragments(Protocol):
    """How fragments enter a convolution and how their maps leave it."""

    def groups(self, frozen: FrozenLego) -> int:
        """Groups of the convolution."""
        ...

    def images(self, frozen: FrozenLego) -> int:
        """Images that the convolution sees for each of the batch."""
        ...

    def maps(self, frozen: FrozenLego) -> int:
        """Maps of each image, all groups together."""
        ...

    def position(self, frozen: FrozenLego) -> IndexArray:
        """What fragment i contributes to output n, ``(o, n)``: its image * maps + its map."""
        ...

    def enter(self, draft: Draft, x: ir.Value, site: Site) -> ir.Value:
        """Bring ``x`` into the form that the convolution takes."""
        ...

    def weight(self, draft: Draft, filters: ir.Value, frozen: FrozenLego, axis: int) -> ir.Value:
        """Select from the m ``filters`` along ``axis`` those of all groups, in order."""
        ...


class AsGroups:
    """A group per fragment."""

    def groups(self, frozen: FrozenLego) -> int:
        """One for each fragment."""
        return frozen.o

    def images(self, frozen: FrozenLego) -> int:
        """One: the fragments stay together."""
        del frozen
        return 1

    def maps(self, frozen: FrozenLego) -> int:
        """Groups of the same width follow each other."""
        return frozen.o * _group_width(frozen)

    def position(self, frozen: FrozenLego) -> IndexArray:
        """Filters used by fragment i start at i * width."""
        first = np.arange(frozen.o, dtype=np.int64)[:, None] * _group_width(frozen)
        return frozen.selection.position + first

    def enter(self, draft: Draft, x: ir.Value, site: Site) -> ir.Value:
        """Nothing to do."""
        del draft, site
        return x

    def weight(self, draft: Draft, filters: ir.Value, frozen: FrozenLego, axis: int) -> ir.Value:
        """Gather those that fragments use; where one uses fewer, its last fills up its group."""
        width = _group_width(frozen)
        groups = [np.pad(f, (0, width - len(f)), mode="edge") for f in frozen.selection.filters]
        rows = draft.constant("weights", "rows", np.concatenate(groups).astype(np.int32))
        return draft.node("weights", "gather", "Gather", [filters, rows], {"axis": axis})


class AsBatch:
    """An image per fragment."""

    def groups(self, frozen: FrozenLego) -> int:
        """One: all fragments meet the same filters."""
        del frozen
        return 1

    def images(self, frozen: FrozenLego) -> int:
        """One for each fragment."""
        return frozen.o

    def maps(self, frozen: FrozenLego) -> int:
        """One for each filter of the bank."""
        return frozen.m

    def position(self, frozen: FrozenLego) -> IndexArray:
        """Maps of fragment i start at i * m."""
        return frozen.index + np.arange(frozen.o, dtype=np.int64)[:, None] * frozen.m

    def enter(self, draft: Draft, x: ir.Value, site: Site) -> ir.Value:
        """(b, o*c', h, w) -> (b*o, c', h, w), the batch left open."""
        frozen = site.frozen
        if frozen.o == 1:
            return x
        shape = [-1, frozen.c // frozen.o, *site.input_size]
        sizes = draft.integers("transform", "fragment_shape", shape)
        return draft.node("transform", "fragments", "Reshape", [x, sizes])

    def weight(self, draft: Draft, filters: ir.Value, frozen: FrozenLego, axis: int) -> ir.Value:
        """All of them."""
        del draft, frozen, axis
        return filters


AS_GROUPS = AsGroups()
AS_BATCH = AsBatch()


def _group_width(frozen: FrozenLego) -> int:
    """The most filters that any fragment uses, in whole blocks."""
    most = max(len(used) for used in frozen.selection.filters)
    return -(-most // BLOCK) * BLOCK

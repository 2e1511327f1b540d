"""Three ways to show the o fragments of a map to one convolution.

AsGroups   X stays (b, o*c', h, w), the convolution has a group per fragment and in each only the
           filters that the fragment uses: nothing superfluous is multiplied, but a filter that
           several fragments use is expanded, stored in memory and read once for each.
AsBatch    X becomes (b*o, c', h, w) and the convolution has the bank itself for weight: each filter
           exists once, but every fragment meets all m of them.
AsStack    X becomes (b, c', o*h, w), the fragments one below the other, for one convolution with
           the bank for weight: as AsBatch, with a single image to divide among threads.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import onnx_ir as ir

from legoexport.lego.frozen import FrozenLego, IndexArray
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site, filled_width

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

    def filters(self, frozen: FrozenLego) -> int:
        """Filters of the convolution, all groups together."""
        ...

    def maps(self, frozen: FrozenLego) -> int:
        """Maps of each image."""
        ...

    def position(self, frozen: FrozenLego) -> IndexArray:
        """What fragment i contributes to output n, ``(o, n)``: its image * maps + its map."""
        ...

    def enter(self, draft: Draft, x: ir.Value, site: Site) -> ir.Value:
        """Bring ``x`` into the form that the convolution takes."""
        ...

    def present(self, draft: Draft, name: str, x: ir.Value, frozen: FrozenLego) -> ir.Value:
        """Show what entered, or a map of its channels, to the convolution."""
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

    def filters(self, frozen: FrozenLego) -> int:
        """Groups of the same width follow each other."""
        return frozen.o * _group_width(frozen)

    def maps(self, frozen: FrozenLego) -> int:
        """One for each filter of each group."""
        return self.filters(frozen)

    def position(self, frozen: FrozenLego) -> IndexArray:
        """Filters used by fragment i start at i * width."""
        first = np.arange(frozen.o, dtype=np.int64)[:, None] * _group_width(frozen)
        return frozen.selection.position + first

    def enter(self, draft: Draft, x: ir.Value, site: Site) -> ir.Value:
        """Nothing to do."""
        del draft, site
        return x

    def present(self, draft: Draft, name: str, x: ir.Value, frozen: FrozenLego) -> ir.Value:
        """Nothing to do."""
        del draft, name, frozen
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

    def filters(self, frozen: FrozenLego) -> int:
        """The bank."""
        return frozen.m

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

    def present(self, draft: Draft, name: str, x: ir.Value, frozen: FrozenLego) -> ir.Value:
        """Nothing to do."""
        del draft, name, frozen
        return x

    def weight(self, draft: Draft, filters: ir.Value, frozen: FrozenLego, axis: int) -> ir.Value:
        """All of them."""
        del draft, frozen, axis
        return filters


class AsStack:
    """Fragments one below the other."""

    def groups(self, frozen: FrozenLego) -> int:
        """One: all fragments meet the same filters."""
        del frozen
        return 1

    def images(self, frozen: FrozenLego) -> int:
        """One, as tall as all fragments."""
        del frozen
        return 1

    def filters(self, frozen: FrozenLego) -> int:
        """The bank."""
        return frozen.m

    def maps(self, frozen: FrozenLego) -> int:
        """A tall map of a filter is, byte for byte, o maps of it."""
        return frozen.m * frozen.o

    def position(self, frozen: FrozenLego) -> IndexArray:
        """Maps of filter f start at f * o."""
        return frozen.index * frozen.o + np.arange(frozen.o, dtype=np.int64)[:, None]

    def enter(self, draft: Draft, x: ir.Value, site: Site) -> ir.Value:
        """Put the o channels that meet the same numbers of a filter behind each other."""
        frozen = site.frozen
        if frozen.o == 1:
            return x
        order = np.arange(frozen.c, dtype=np.int32).reshape(frozen.o, -1).T.reshape(-1)
        rows = draft.constant("transform", "interleave_order", order)
        return draft.node("transform", "interleave", "Gather", [x, rows], {"axis": 1})

    def present(self, draft: Draft, name: str, x: ir.Value, frozen: FrozenLego) -> ir.Value:
        """(b, c'*o, h, w) -> (b, c', o*h, w), the same bytes."""
        if frozen.o == 1:
            return x
        shape = draft.integers("transform", f"{name}_shape", [0, frozen.c // frozen.o, -1, 0])
        return draft.node("transform", name, "Reshape", [x, shape])

    def weight(self, draft: Draft, filters: ir.Value, frozen: FrozenLego, axis: int) -> ir.Value:
        """All of them."""
        del draft, frozen, axis
        return filters


AS_GROUPS = AsGroups()
AS_BATCH = AsBatch()
AS_STACK = AsStack()


def _group_width(frozen: FrozenLego) -> int:
    return filled_width(frozen, BLOCK)

"""Direct, fragments stacked: one ordinary convolution whose weight is the bank.

With d output rows from a fragment to the next (stacked_map.py)::

    F[c']  = X[c'] , gap, X[c/o + c'], gap, ...     one below the other
    maps   = conv(F, lego)                          (b, m, o*d, w')
    Y[n]   = sum_i coefficient[i, n] * maps[index[i, n], i*d : i*d + h'] + bias[n]

One image and one group: outside the blocked layout, which only x86 has, ONNX Runtime divides a
convolution among threads by images and groups, but the matrix product of a single one by its rows
and columns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from legoexport.lego.frozen import FrozenLego
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Footprint, Site, convolution_attributes, filter_taps
from legoexport.passes.lowerings.direct_footprint import direct_footprint
from legoexport.passes.lowerings.fragments import AS_BATCH, AS_STACK
from legoexport.passes.lowerings.merge import gather_and_sum
from legoexport.passes.lowerings.merge_rows import sum_of_rows
from legoexport.passes.lowerings.stacked_map import StackedMap


class FragmentStack:
    """Lower to Pad, Gather, Conv and the shared merge."""

    name = "fragment_stack"
    rounding_growth = 1.0
    dilates_groups = False

    def declines(self, site: Site) -> str | None:
        """Serve layers whose stacked rows come out at whole distances."""
        if StackedMap.of(site).fits:
            return None
        return "a padding that reaches past the kernel leaves no whole rows between fragments"

    def footprint(self, site: Site) -> Footprint:
        """Count as fragments in a batch, with Pad, Gather and the rows between fragments."""
        batch, stacked = direct_footprint(site, AS_BATCH), StackedMap.of(site)
        height, width = site.input_size
        spaced = 2 * site.frozen.c * (height + stacked.gap) * width
        row = AS_STACK.maps(site.frozen) * site.output_size[1]
        between = row * (stacked.distance - site.output_size[0])
        macs = between * filter_taps(site.frozen)
        return replace(
            batch,
            macs=batch.macs + macs,
            compute_bound_macs=batch.compute_bound_macs + macs,
            floats=batch.floats + spaced + 2 * between,
            nodes=batch.nodes + 2,
            alive=max(batch.alive, 2 * row * stacked.distance),
        )

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add Pad, Gather, Reshape, Conv, Reshape, Gather, Conv."""
        frozen, stacked = site.frozen, StackedMap.of(site)
        spaced = _space(draft, x, stacked.gap) if stacked.gap else x
        entered = AS_STACK.enter(draft, spaced, site)
        shown = AS_STACK.present(draft, "stack", entered, frozen)
        maps = draft.node("transform", "conv", "Conv", [shown, bank], _attributes(frozen, stacked))
        if stacked.distance == site.output_size[0]:
            shape = [-1, frozen.m * frozen.o, *site.output_size]
            sizes = draft.integers("transform", "maps_shape", shape)
            maps = draft.node("transform", "maps", "Reshape", [maps, sizes])
            return gather_and_sum(draft, maps, AS_STACK.position(frozen), site)
        first = AS_STACK.position(frozen).T.reshape(-1, 1) * stacked.distance
        steps = np.arange(site.output_size[0], dtype=np.int64)[None, :]
        count = AS_STACK.maps(frozen) * stacked.distance
        return sum_of_rows(draft, maps, site, count, (first, steps))


def _space(draft: Draft, x: ir.Value, gap: int) -> ir.Value:
    """Add ``gap`` rows of zeros below."""
    pads = draft.integers("transform", "gap", [0, 0, 0, 0, 0, 0, gap, 0])
    return draft.node("transform", "space", "Pad", [x, pads])


def _attributes(frozen: FrozenLego, stacked: StackedMap) -> dict[str, Any]:
    above, below = stacked.padding
    side = frozen.padding[1]
    return {**convolution_attributes(frozen, group=1), "pads": [above, side, below, side]}

"""Direct, grouped: one grouped convolution, then gather and weighted sum.

W[i]  = lego[used[i]]                               used[i]: the filters that fragment i uses
maps  = conv(X, concat_i W[i], group = o)
Y[n]  = sum_i coefficient[i, n] * maps[i, position[i, n]] + bias[n]
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from legoexport.frozen import FrozenLego, IndexArray
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site, Work, convolution_attributes, filter_taps
from legoexport.passes.lowerings.merge import gather_and_sum, merge_macs

# ONNX Runtime's blocked layout takes a grouped Conv only with whole blocks per group (8 with AVX2).
BLOCK = 8


class Grouped:
    """Lower to one Conv with a group per fragment over the filters that the fragment uses."""

    name = "grouped"
    rounding_growth = 1.0

    def declines(self, site: Site) -> str | None:
        """Serve every layer."""
        del site
        return None

    def work(self, site: Site) -> Work:
        """Count the padded group width, which is what is really multiplied."""
        frozen = site.frozen
        maps = frozen.o * group_width(frozen)
        return Work(maps * filter_taps(frozen) * site.output_pixels, merge_macs(site))

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add Gather (weights), Conv, Gather, Conv."""
        frozen = site.frozen
        rows = draft.constant("weights", "rows", filter_rows(frozen).astype(np.int32))
        weight = draft.node("weights", "gather", "Gather", [bank, rows], {"axis": 0})
        attributes = convolution_attributes(frozen, group=frozen.o)
        maps = draft.node("transform", "conv", "Conv", [x, weight], attributes)
        first_channel = np.arange(frozen.o, dtype=np.int64)[:, None] * group_width(frozen)
        return gather_and_sum(draft, maps, frozen.selection.position + first_channel, frozen)


def group_width(frozen: FrozenLego) -> int:
    """Filters per group: the most that any fragment uses, rounded up to whole blocks."""
    most = max(len(used) for used in frozen.selection.filters)
    return -(-most // BLOCK) * BLOCK


def filter_rows(frozen: FrozenLego) -> IndexArray:
    """Rows of the bank that make up the grouped weight, ``(o * group_width,)``.

    Fragments that use fewer filters repeat their last one; nothing reads those maps.
    """
    width = group_width(frozen)
    padded = [
        np.pad(used, (0, width - len(used)), mode="edge") for used in frozen.selection.filters
    ]
    return np.concatenate(padded)

"""Direct, one convolution per fragment over exactly the filters that it uses.

    X_0 .. X_{o-1} = split(X)
    maps = concat_i conv(X_i, lego[used[i]])
    Y[n] = sum_i coefficient[i, n] * maps[start[i] + position[i, n]] + bias[n]

Shipped arm64 builds run a grouped Conv on at most batch * groups threads; these have no such limit.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Footprint, Site, convolution_attributes, filter_taps
from legoexport.passes.lowerings.merge import (
    alive_floats,
    gather_and_sum,
    merge_floats,
    merge_macs,
)


class PerFragment:
    """Lower to Split, a Conv per fragment, Concat, and the shared merge."""

    name = "per_fragment"
    rounding_growth = 1.0
    dilates_groups = False

    def declines(self, site: Site) -> str | None:
        """Serve every layer."""
        del site
        return None

    def footprint(self, site: Site) -> Footprint:
        """Count the pairs in use, no padding; Split and Concat copy what they join."""
        frozen, pairs = site.frozen, site.frozen.selection.pair_count
        height, width = site.input_size
        weight, maps_floats = pairs * filter_taps(frozen), pairs * site.output_pixels
        macs = weight * site.output_pixels
        return Footprint(
            macs=macs + merge_macs(site),
            compute_bound_macs=macs,
            floats=weight + 2 * frozen.c * height * width + 4 * maps_floats + merge_floats(site),
            nodes=5 + 2 * frozen.o,
            weights=weight,
            alive=alive_floats(site, maps_floats),
        )

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add Split, o times (Gather, Conv), Concat, Gather, Conv."""
        frozen = site.frozen
        attributes = convolution_attributes(frozen, group=1)
        pieces = []
        for i, fragment in enumerate(split_fragments(draft, x, site)):
            used = frozen.selection.filters[i].astype(np.int32)
            rows = draft.constant("weights", f"rows_{i}", used)
            weight = draft.node("weights", f"gather_{i}", "Gather", [bank, rows], {"axis": 0})
            pieces.append(
                draft.node("transform", f"conv_{i}", "Conv", [fragment, weight], attributes)
            )
        maps = draft.node("transform", "concat", "Concat", pieces, {"axis": 1})
        widths = [len(used) for used in frozen.selection.filters]
        start = np.array([0, *accumulate(widths)][:-1], dtype=np.int64)[:, None]
        return gather_and_sum(draft, maps, frozen.selection.position + start, site)


def split_fragments(draft: Draft, x: ir.Value, site: Site) -> list[ir.Value]:
    """Return the fragments of ``x``, numbers or integers; ``x`` itself if it is the only one."""
    frozen = site.frozen
    if frozen.o == 1:
        return [x]
    sizes = draft.integers("transform", "fragment_sizes", [frozen.c // frozen.o] * frozen.o)
    names = [f"fragment_{i}" for i in range(frozen.o)]
    return list(draft.node_with_outputs("transform", names, "Split", [x, sizes], {"axis": 1}))

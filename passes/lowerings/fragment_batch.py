"""Direct, fragments as batch: one convolution whose weight is the bank, then the shared merge.

    F    = reshape(X, (b*o, c/o, h, w))
    maps = reshape(conv(F, lego), (b, o*m, h', w'))
    Y[n] = sum_i coefficient[i, n] * maps[i*m + index[i, n]] + bias[n]

Every filter is read once for all fragments: for small maps, where reading weights takes the time.
"""

from __future__ import annotations

import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Footprint, Site, convolution_attributes
from legoexport.passes.lowerings.direct_footprint import direct_footprint
from legoexport.passes.lowerings.fragments import AS_BATCH
from legoexport.passes.lowerings.merge import gather_and_sum


class FragmentBatch:
    """Lower to Reshape, Conv, Reshape and the shared merge."""

    name = "fragment_batch"
    rounding_growth = 1.0
    dilates_groups = False

    def declines(self, site: Site) -> str | None:
        """Serve every layer."""
        del site
        return None

    def footprint(self, site: Site) -> Footprint:
        """Count every filter on every fragment."""
        return direct_footprint(site, AS_BATCH)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add Reshape, Conv, Reshape, Gather, Conv."""
        frozen = site.frozen
        fragments = AS_BATCH.enter(draft, x, site)
        attributes = convolution_attributes(frozen, group=1)
        images = draft.node("transform", "conv", "Conv", [fragments, bank], attributes)
        shape = [-1, frozen.o * frozen.m, *site.output_size]
        sizes = draft.integers("transform", "maps_shape", shape)
        maps = draft.node("transform", "maps", "Reshape", [images, sizes])
        return gather_and_sum(draft, maps, AS_BATCH.position(frozen), site)

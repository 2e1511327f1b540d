"""Direct, grouped: one grouped convolution, then gather and weighted sum.

    W[i]  = lego[used[i]]                               used[i]: the filters that fragment i uses
    maps  = conv(X, concat_i W[i], group = o)
    Y[n]  = sum_i coefficient[i, n] * maps[i, position[i, n]] + bias[n]

The paper's own shape; a group is filled up to whole blocks, or the convolution leaves the blocked
layout.
"""

from __future__ import annotations

import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Footprint, Site, convolution_attributes
from legoexport.passes.lowerings.direct_footprint import direct_footprint
from legoexport.passes.lowerings.fragments import AS_GROUPS
from legoexport.passes.lowerings.merge import gather_and_sum


class Grouped:
    """Lower to one Conv with a group per fragment over the filters that the fragment uses."""

    name = "grouped"
    rounding_growth = 1.0
    dilates_groups = True

    def declines(self, site: Site) -> str | None:
        """Serve every layer."""
        del site
        return None

    def footprint(self, site: Site) -> Footprint:
        """Count the padded groups, which are what is really multiplied."""
        return direct_footprint(site, AS_GROUPS)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add Gather (weights), Conv, Gather, Conv."""
        frozen = site.frozen
        weight = AS_GROUPS.weight(draft, bank, frozen, axis=0)
        attributes = convolution_attributes(frozen, group=frozen.o)
        maps = draft.node("transform", "conv", "Conv", [x, weight], attributes)
        return gather_and_sum(draft, maps, AS_GROUPS.position(frozen), site)

"""In integers, one grouped convolution over the filters that fragments use, then the dense merge.

    maps = quantize(conv(X, concat_i w[i] * B[used[i]], group = o))
    Y    = conv_1x1(maps, k) + bias                                    maps.py has the scales

Nothing is split or joined: the form for 1x1 layers that narrow their input much.
"""

from __future__ import annotations

import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Footprint, Site, convolution_attributes
from legoexport.passes.lowerings.int8.footprint import IntegerWork, grouped_footprint, grouped_work
from legoexport.passes.lowerings.int8.integers import (
    affine_constants,
    dequantize,
    quantize,
    scales_of,
)
from legoexport.passes.lowerings.int8.maps import (
    filled_up,
    map_scales,
    map_weight,
    merge,
    why_no_maps,
)


class Int8Grouped:
    """Lower to one Conv with a group per fragment and a 1x1 Conv, both on integers."""

    name = "int8_grouped"
    rounding_growth = 1.0
    dilates_groups = True

    def declines(self, site: Site) -> str | None:
        """Decline layers without scales of their maps."""
        return why_no_maps(site)

    def footprint(self, site: Site) -> Footprint:
        """Count the maps, padding included, and the zeros of the merge."""
        return grouped_footprint(site)

    def work(self, site: Site) -> IntegerWork:
        """Count the convolution in groups, and the merge."""
        return grouped_work(site)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add Conv, QuantizeLinear and Conv, with their weights."""
        frozen, scales = site.frozen, scales_of(site)
        rows, pairs = filled_up(frozen)
        scale = map_scales(draft, site)
        weight = map_weight(draft, bank, scale, (rows.reshape(-1), pairs.reshape(-1)), "")
        attributes = convolution_attributes(frozen, group=frozen.o)
        made = draft.node("transform", "conv", "Conv", [x, weight], attributes)
        constants = affine_constants(draft, "transform", "map", scales.map)
        integers = quantize(draft, "transform", "maps", made, constants)
        return merge(draft, dequantize(draft, "merge", "maps", integers, constants), site)

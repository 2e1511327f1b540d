"""In integers, one convolution per fragment over the filters that it uses, then the dense merge.

    X_0 .. X_{o-1} = split(X)
    maps = concat_i quantize(conv(X_i, w[i] * B[used[i]]))
    Y    = conv_1x1(maps, k) + bias                                    maps.py has the scales

A convolution in one group takes the fast kernels for integers, which a grouped one does not: this
is the fastest form of most layers with kernels larger than 1x1.
"""

from __future__ import annotations

import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Footprint, Site, convolution_attributes
from legoexport.passes.lowerings.int8.footprint import (
    IntegerWork,
    per_fragment_footprint,
    per_fragment_work,
)
from legoexport.passes.lowerings.int8.integers import (
    affine_constants,
    dequantize,
    integers_of,
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
from legoexport.passes.lowerings.per_fragment import split_fragments


class Int8PerFragment:
    """Lower to Split, a Conv per fragment, Concat, and a 1x1 Conv, all on integers."""

    name = "int8_per_fragment"
    rounding_growth = 1.0
    dilates_groups = False

    def declines(self, site: Site) -> str | None:
        """Decline layers without scales of their maps."""
        return why_no_maps(site)

    def footprint(self, site: Site) -> Footprint:
        """Count the maps, padding included, and the zeros of the merge."""
        return per_fragment_footprint(site)

    def work(self, site: Site) -> IntegerWork:
        """Count what splits and joins fragments, too."""
        return per_fragment_work(site)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add Split, o times (Conv, QuantizeLinear), Concat, and Conv, with their weights."""
        integers, constants = joined_maps(draft, x, bank, site)
        return merge(draft, dequantize(draft, "merge", "maps", integers, constants), site)


def joined_maps(
    draft: Draft, x: ir.Value, bank: ir.Value, site: Site
) -> tuple[ir.Value, list[ir.Value]]:
    """Add all up to Concat; return the integers ``(b, o * width, h', w')`` and their constants."""
    pieces, constants = fragment_maps(draft, x, bank, site)
    if len(pieces) == 1:
        return pieces[0], constants
    return draft.node("transform", "concat", "Concat", pieces, {"axis": 1}), constants


def fragment_maps(
    draft: Draft, x: ir.Value, bank: ir.Value, site: Site
) -> tuple[list[ir.Value], list[ir.Value]]:
    """Return the integers of the maps of each fragment ``(b, width, h', w')``, and constants."""
    frozen, scales = site.frozen, scales_of(site)
    scale = map_scales(draft, site)
    constants = affine_constants(draft, "transform", "map", scales.map)
    attributes = convolution_attributes(frozen, group=1)
    pieces = []
    for i, (piece, *rows) in enumerate(
        zip(_split(draft, x, site), *filled_up(frozen), strict=True)
    ):
        weight = map_weight(draft, bank, scale, (rows[0], rows[1]), f"_{i}")
        made = draft.node("transform", f"conv_{i}", "Conv", [piece, weight], attributes)
        pieces.append(quantize(draft, "transform", f"maps_{i}", made, constants))
    return pieces, constants


def _split(draft: Draft, x: ir.Value, site: Site) -> list[ir.Value]:
    if site.frozen.o == 1:
        return [x]
    parts = split_fragments(draft, integers_of(x), site)
    constants = affine_constants(draft, "transform", "fragment", scales_of(site).input)
    return [
        dequantize(draft, "transform", f"fragment_{i}_numbers", part, constants)
        for i, part in enumerate(parts)
    ]

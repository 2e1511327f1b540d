"""Direct, grouped, with the merge as one dense 1x1 convolution.

    maps = conv(X, concat_i lego[used[i]], group = o)
    Y    = conv_1x1(maps, M) + bias        M[n, i*w + p] = coefficient[i, n] [p = position[i, n]]

M multiplies mostly zeros, but both convolutions stay in the runtime's blocked layout, and nothing
is gathered: for few channels on large maps, where moving maps takes the time. Each row of M is a
window of one vector that holds a single one, so the file does not store its zeros.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from legoexport.lego.frozen import FrozenLego
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import (
    Footprint,
    Site,
    convolution_attributes,
    filter_taps,
    stored_bias,
)
from legoexport.passes.lowerings.fragments import AS_GROUPS


class GroupedDenseMerge:
    """Lower to one Conv with a group per fragment and a 1x1 Conv."""

    name = "grouped_dense_merge"
    rounding_growth = 1.0
    dilates_groups = True

    def declines(self, site: Site) -> str | None:
        """Serve every layer."""
        del site
        return None

    def footprint(self, site: Site) -> Footprint:
        """Count the padded groups, and the zeros of the merge; both stay in the blocked layout."""
        frozen = site.frozen
        maps = AS_GROUPS.maps(frozen)
        weight = maps * (filter_taps(frozen) + frozen.n)
        macs, between = weight * site.output_pixels, (maps + frozen.n) * site.output_pixels
        alive = max(site.end_floats, between)
        return Footprint(macs, macs, floats=weight, nodes=2, weights=weight, alive=alive)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add Gather (weights), Conv, and Conv with its weight M."""
        frozen = site.frozen
        weight = AS_GROUPS.weight(draft, bank, frozen, axis=0)
        attributes = convolution_attributes(frozen, group=frozen.o)
        maps = draft.node("transform", "conv", "Conv", [x, weight], attributes)
        bias = stored_bias(frozen)
        inputs = [maps, _merge_weight(draft, frozen), draft.constant("merge", "bias", bias)]
        return draft.node("merge", "sum", "Conv", inputs, {"kernel_shape": [1, 1]})


def _merge_weight(draft: Draft, frozen: FrozenLego) -> ir.Value:
    """M as ``(n, maps, 1, 1)``: windows of a unit vector, times the coefficients."""
    width = AS_GROUPS.maps(frozen) // frozen.o
    unit = np.zeros(2 * width - 1, np.float32)
    unit[width - 1] = 1
    start = (width - 1 - frozen.selection.position.T)[:, :, None].astype(np.int32)
    steps = np.arange(width, dtype=np.int32)
    windows = [
        draft.constant("weights", "window_starts", start),
        draft.constant("weights", "window_steps", steps),
    ]
    index = draft.node("weights", "windows", "Add", windows)
    vector = draft.constant("weights", "unit_vector", unit)
    chosen = draft.node("weights", "choose", "Gather", [vector, index], {"axis": 0})
    coefficient = np.ascontiguousarray(frozen.coefficient.T)[:, :, None]
    inputs = [chosen, draft.constant("weights", "coefficient", coefficient)]
    scaled = draft.node("weights", "scale", "Mul", inputs)
    shape = draft.integers("weights", "merge_shape", [frozen.n, frozen.o * width, 1, 1])
    return draft.node("weights", "merge", "Reshape", [scaled, shape])

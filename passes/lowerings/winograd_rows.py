"""1-D Winograd F(f, 3) along the height, ordinary taps along the width.

With a = f + 2, tiles of f output rows, U_i = G[i] lego, and V_i = B^T[i] X one row a tile::

    Q_i = conv_1xk(V_i, U_i)                  i < a, the fragments as groups, batch or stack
    maps[:, t*f + r] = sum_i A^T[r, i] Q_i[:, t]
    Y[n] = sum_i coefficient[i, n] * maps[position[i, n]] + bias[n]

3 k multiplications a pixel become a/f k: half as many for f = 4, 3/7 for f = 7. The a convolutions
stay in the runtime's blocked layout; A^T is one MatMul with the batch in front, and the Gather of
the merge puts its f kinds of rows in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Footprint, Site, filter_taps
from legoexport.passes.lowerings.fragments import AS_BATCH, AS_GROUPS, AS_STACK, Fragments
from legoexport.passes.lowerings.merge import alive_floats, merge_floats, merge_macs
from legoexport.passes.lowerings.merge_rows import gather_rows_and_sum
from legoexport.passes.lowerings.winograd import F4, F7, TAPS, Transforms
from legoexport.passes.lowerings.winograd_axis import TiledAxis, declines_axis


@dataclass(frozen=True)
class WinogradRows:
    """Lower to F(f, 3) along the height and the shared merge.

    Attributes:
        name: The name used in plans.
        transforms: Transforms of one tile.
        fragments: How the a convolutions meet the fragments.
        rounding_growth: Twice the most that was measured (docs/lowerings.md).
    """

    name: str
    transforms: Transforms
    fragments: Fragments
    rounding_growth: float

    @property
    def dilates_groups(self) -> bool:
        """Along the width the convolutions have the dilation of the layer."""
        return self.fragments is AS_GROUPS

    def declines(self, site: Site) -> str | None:
        """Serve vertical kernels of 3 with stride and dilation 1."""
        return declines_axis(site, 0)

    def footprint(self, site: Site) -> Footprint:
        """Count a depthwise and an ordinary convolution for each point, A^T, gather and sum."""
        frozen, rows = site.frozen, TiledAxis.of(site, 0, self.transforms)
        fragments, points, tile = self.fragments, self.transforms.points, self.transforms.tile
        taps = points * filter_taps(frozen) // frozen.kernel[0]
        weight = fragments.filters(frozen) * taps
        maps = fragments.images(frozen) * fragments.maps(frozen)
        products = maps * rows.tiles * site.output_size[1]
        inputs = frozen.c * rows.tap_count * rows.tiles * site.input_size[1]
        # Concat and reordering of the products, then A^T from a rows to f.
        floats = weight + rows.input_floats(site) + products * (5 * points + tile)
        if fragments is AS_STACK:
            floats += 2 * frozen.c * site.input_size[0] * site.input_size[1]
        return Footprint(
            macs=inputs + products * (taps + tile * points) + merge_macs(site),
            compute_bound_macs=products * taps,
            floats=floats + merge_floats(site),
            nodes=2 * points + 6,
            weights=weight,
            alive=alive_floats(site, products * points),
        )

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add (Conv, Conv) for each point, Concat, Reshape, MatMul and the merge of rows."""
        frozen, rows = site.frozen, TiledAxis.of(site, 0, self.transforms)
        transforms, fragments = self.transforms, self.fragments
        channels = frozen.c // fragments.images(frozen)
        entered = fragments.enter(draft, x, site)
        attributes = _attributes(site, fragments.groups(frozen))
        kernels = rows.kernels(draft, channels)
        products = []
        for i, weight in enumerate(_weights(draft, bank, site, transforms, fragments)):
            values = rows.transform(draft, f"input_{i}", entered, kernels[i])
            shown = fragments.present(draft, f"shown_{i}", values, frozen)
            conv = draft.node("transform", f"conv_{i}", "Conv", [shown, weight], attributes)
            products.append(conv)
        joined = draft.node("transform", "concat", "Concat", products, {"axis": 1})
        shape = draft.integers("transform", "flat_shape", [0, transforms.points, -1])
        flat = draft.node("transform", "flat", "Reshape", [joined, shape])
        matrix = draft.constant("transform", "output_matrix", transforms.output.astype(np.float32))
        lines = draft.node("transform", "output", "MatMul", [matrix, flat])
        return gather_rows_and_sum(draft, lines, site, rows, fragments)


# F(4, 3) rounds less, and wastes less on heights that 7 does not divide. 7 divides the heights of
# networks for 224 x 224 input: 7, 14, 28, 56, 112, 224. As batch, each transformed filter is read
# once for all fragments: for small maps with many channels. The stack needs no gap, because rows no
# longer meet after the input transform: ordinary convolutions, which every kernel divides among all
# threads.
WINOGRAD_ROWS = (
    WinogradRows("winograd_rows_4", F4, AS_GROUPS, rounding_growth=5.0),
    WinogradRows("winograd_rows_4_batch", F4, AS_BATCH, rounding_growth=5.0),
    WinogradRows("winograd_rows_4_stack", F4, AS_STACK, rounding_growth=5.0),
    WinogradRows("winograd_rows_7", F7, AS_GROUPS, rounding_growth=18.0),
    WinogradRows("winograd_rows_7_batch", F7, AS_BATCH, rounding_growth=18.0),
)


def _weights(
    draft: Draft, bank: ir.Value, site: Site, transforms: Transforms, fragments: Fragments
) -> list[ir.Value]:
    """G lego, one weight for each of the a points."""
    frozen, points = site.frozen, transforms.points
    cells, width = frozen.c // frozen.o, frozen.kernel[1]
    matrix = draft.constant("weights", "filter_matrix", transforms.filter.astype(np.float32))
    turned = draft.node("weights", "turn", "Transpose", [bank], {"perm": [2, 0, 1, 3]})
    flat_shape = draft.integers("weights", "flat_shape", [TAPS, -1])
    flat = draft.node("weights", "flat", "Reshape", [turned, flat_shape])
    product = draft.node("weights", "transform", "MatMul", [matrix, flat])
    stack_shape = draft.integers("weights", "stack_shape", [points, frozen.m, cells, 1, width])
    stack = draft.node("weights", "stack", "Reshape", [product, stack_shape])
    chosen = fragments.weight(draft, stack, frozen, axis=1)
    list_shape = draft.integers("weights", "list_shape", [-1, cells, 1, width])
    listed = draft.node("weights", "list", "Reshape", [chosen, list_shape])
    sizes = draft.integers("weights", "sizes", [fragments.filters(frozen)] * points)
    names = [f"point_{i}" for i in range(points)]
    return list(draft.node_with_outputs("weights", names, "Split", [listed, sizes], {"axis": 0}))


def _attributes(site: Site, groups: int) -> dict[str, Any]:
    frozen = site.frozen
    return {
        "kernel_shape": [1, frozen.kernel[1]],
        "strides": [1, frozen.stride[1]],
        "pads": [0, frozen.padding[1]] * 2,
        "dilations": [1, frozen.dilation[1]],
        "group": groups,
    }

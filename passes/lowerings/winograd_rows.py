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

from typing import Any

import numpy as np
import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site, Work
from legoexport.passes.lowerings.fragments import Fragments
from legoexport.passes.lowerings.merge import merge_macs
from legoexport.passes.lowerings.merge_rows import gather_rows_and_sum
from legoexport.passes.lowerings.winograd import TAPS, Transforms
from legoexport.passes.lowerings.winograd_axis import TiledAxis


def rows_work(site: Site, transforms: Transforms, fragments: Fragments) -> Work:
    """Count input transform, convolutions and output transform of one image."""
    frozen, rows = site.frozen, TiledAxis.of(site, 0, transforms)
    points = transforms.points
    inputs = frozen.c * rows.tap_count * rows.tiles * site.input_size[1]
    taps = points * (frozen.c // frozen.o) * frozen.kernel[1] + transforms.tile * points
    maps = fragments.images(frozen) * fragments.maps(frozen)
    outputs = maps * taps * rows.tiles * site.output_size[1]
    return Work(inputs + outputs, merge_macs(site))


def build_rows(
    draft: Draft,
    x: ir.Value,
    bank: ir.Value,
    site: Site,
    *,
    transforms: Transforms,
    fragments: Fragments,
) -> ir.Value:
    """Add the layer to ``draft``."""
    frozen, rows = site.frozen, TiledAxis.of(site, 0, transforms)
    channels = frozen.c // fragments.images(frozen)
    entered = fragments.enter(draft, x, site)
    attributes = _attributes(site, fragments.groups(frozen))
    kernels = rows.kernels(draft, channels)
    products = []
    for i, weight in enumerate(_weights(draft, bank, site, transforms, fragments)):
        values = rows.transform(draft, f"input_{i}", entered, kernels[i])
        shown = fragments.present(draft, f"shown_{i}", values, frozen)
        products.append(draft.node("transform", f"conv_{i}", "Conv", [shown, weight], attributes))
    joined = draft.node("transform", "concat", "Concat", products, {"axis": 1})
    shape = draft.integers("transform", "flat_shape", [0, transforms.points, -1])
    flat = draft.node("transform", "flat", "Reshape", [joined, shape])
    matrix = draft.constant("transform", "output_matrix", transforms.output.astype(np.float32))
    lines = draft.node("transform", "output", "MatMul", [matrix, flat])
    return gather_rows_and_sum(draft, lines, site, rows, fragments)


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

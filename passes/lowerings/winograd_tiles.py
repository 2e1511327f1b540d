"""2-D Winograd F(f x f, 3 x 3).

With a = f + 2, tiles of f x f outputs, U_ij = G[i] lego G[j]^T and V_ij = B^T[i] X B[j] one value a
tile::

    Q_ij = U_ij V_ij                          i, j < a, one 1x1 convolution with a group for each
    maps[:, t*f + r, u*f + s] = sum_ij A^T[r, i] Q_ij[:, t, u] A[j, s]
    Y[n] = sum_i coefficient[i, n] * maps[position[i, n]] + bias[n]

Nine multiplications a pixel become (a/f)^2, 2.25 for f = 4. The way in is separable: a vertical and
a^2 horizontal depthwise convolutions. The way out is one MatMul with the Kronecker product of A^T
and itself: it multiplies more than one MatMul an axis would, and moves less (docs/lowerings.md). A
Transpose puts the columns in order, the Gather of the merge the rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Footprint, Site
from legoexport.passes.lowerings.fragments import AS_BATCH, AS_GROUPS, Fragments
from legoexport.passes.lowerings.merge import alive_floats, merge_floats, merge_macs
from legoexport.passes.lowerings.merge_rows import gather_rows_and_sum
from legoexport.passes.lowerings.winograd import F4, TAPS, Transforms
from legoexport.passes.lowerings.winograd_axis import TiledAxis, declines_axis

Axes = tuple[TiledAxis, TiledAxis]


@dataclass(frozen=True)
class WinogradTiles:
    """Lower to F(f x f, 3 x 3) and the shared merge.

    Attributes:
        name: The name used in plans.
        transforms: Transforms of one tile, along both axes.
        fragments: How the convolution meets the fragments, as groups or as batch.
        rounding_growth: Twice the most that was measured (docs/lowerings.md).
    """

    name: str
    transforms: Transforms
    fragments: Fragments
    rounding_growth: float
    dilates_groups: bool = field(default=False, init=False)

    def declines(self, site: Site) -> str | None:
        """Serve kernels of 3 with stride and dilation 1."""
        return declines_axis(site, 0) or declines_axis(site, 1)

    def footprint(self, site: Site) -> Footprint:
        """Count the depthwise convolutions, the one in groups, A^T on both sides and the merge."""
        frozen, (rows, columns) = site.frozen, self._axes(site)
        points, tile = self.transforms.points, self.transforms.tile
        images, maps = self.fragments.images(frozen), self.fragments.maps(frozen)
        tiles, cells = rows.tiles * columns.tiles, frozen.c // frozen.o
        weight = points**2 * self.fragments.filters(frozen) * cells
        products = points**2 * images * maps * tiles
        vertical = rows.tap_count * rows.tiles * site.input_size[1]
        transforms = frozen.c * (vertical + points * columns.tap_count * tiles)
        # Horizontal convolutions read each of a rows a times; Concat copies all a^2 values.
        inputs = points**2 * frozen.c * (rows.tiles * site.input_size[1] + 3 * tiles)
        outputs = images * maps * tiles * 3 * (points**2 + tile**2)
        moved = rows.input_floats(site) + inputs + outputs
        return Footprint(
            macs=transforms + products * (cells + tile**2) + merge_macs(site),
            compute_bound_macs=products * cells,
            floats=images * weight + moved + merge_floats(site),
            nodes=points * (points + 1) + 10,
            weights=weight,
            alive=alive_floats(site, points**2 * max(images * maps, frozen.c) * tiles),
            tile_floats=moved,
        )

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add a Conv for each row and point, Concat, Conv, MatMul, Transpose and the merge."""
        frozen, axes, fragments = site.frozen, self._axes(site), self.fragments
        entered = fragments.enter(draft, x, site)
        values = _input_values(draft, entered, axes, frozen.c // fragments.images(frozen))
        weight = _weight(draft, bank, site, self.transforms, fragments)
        group = self.transforms.points**2 * fragments.groups(frozen)
        attributes = {"kernel_shape": [1, 1], "group": group}
        products = draft.node("transform", "conv", "Conv", [values, weight], attributes)
        lines = _output_lines(draft, products, axes, fragments.maps(frozen))
        return gather_rows_and_sum(draft, lines, site, axes[0], fragments)

    def _axes(self, site: Site) -> Axes:
        return TiledAxis.of(site, 0, self.transforms), TiledAxis.of(site, 1, self.transforms)


# Fewest multiplications and most data movement: for many channels on maps large enough. As batch,
# each transformed filter is read once for all fragments: for small maps with many channels.
WINOGRAD_TILES = (
    WinogradTiles("winograd_tiles_4", F4, AS_GROUPS, rounding_growth=12.0),
    WinogradTiles("winograd_tiles_4_batch", F4, AS_BATCH, rounding_growth=12.0),
)


def _input_values(draft: Draft, x: ir.Value, axes: Axes, channels: int) -> ir.Value:
    """B^T X B, point by point: (b, a*a*channels, tiles, tiles)."""
    rows, columns = axes
    values = []
    horizontal = columns.kernels(draft, channels)
    for i, kernel in enumerate(rows.kernels(draft, channels)):
        row = rows.transform(draft, f"input_{i}", x, kernel)
        values += [
            columns.transform(draft, f"input_{i}_{j}", row, horizontal[j])
            for j in range(len(horizontal))
        ]
    return draft.node("transform", "concat", "Concat", values, {"axis": 1})


def _weight(
    draft: Draft, bank: ir.Value, site: Site, transforms: Transforms, fragments: Fragments
) -> ir.Value:
    """G lego G^T, point by point: (a*a*filters, c/o, 1, 1)."""
    cells = site.frozen.c // site.frozen.o
    matrix = _kronecker(draft, "filter_matrix", transforms.filter)
    flat_shape = draft.integers("weights", "flat_shape", [-1, TAPS**2])
    flat = draft.node("weights", "flat", "Reshape", [bank, flat_shape])
    turned = draft.node("weights", "turn", "Transpose", [flat], {"perm": [1, 0]})
    product = draft.node("weights", "transform", "MatMul", [matrix, turned])
    stack_shape = draft.integers(
        "weights", "stack_shape", [transforms.points**2, site.frozen.m, cells]
    )
    stack = draft.node("weights", "stack", "Reshape", [product, stack_shape])
    chosen = fragments.weight(draft, stack, site.frozen, axis=1)
    list_shape = draft.integers("weights", "list_shape", [-1, cells, 1, 1])
    return draft.node("weights", "list", "Reshape", [chosen, list_shape])


def _output_lines(draft: Draft, products: ir.Value, axes: Axes, maps: int) -> ir.Value:
    """A^T Q A with whole lines of pixels: (images, f, maps * tiles, w')."""
    rows, columns = axes
    tile, points = rows.transforms.tile, rows.transforms.points

    def reshape(name: str, value: ir.Value, shape: list[int]) -> ir.Value:
        sizes = draft.integers("transform", f"{name}_shape", shape)
        return draft.node("transform", name, "Reshape", [value, sizes])

    matrix = _kronecker(draft, "output_matrix", rows.transforms.output)
    flat = reshape("flat", products, [0, points**2, -1])
    values = draft.node("transform", "output", "MatMul", [matrix, flat])
    split = reshape("split", values, [0, tile, tile, maps * rows.tiles * columns.tiles])
    woven = draft.node("transform", "weave", "Transpose", [split], {"perm": [0, 1, 3, 2]})
    lines = reshape("lines", woven, [0, tile, maps * rows.tiles, columns.tiles * tile])
    if columns.tiles * tile == columns.output_length:
        return lines
    bounds = {"starts": 0, "ends": columns.output_length, "axes": 3}
    inputs = [draft.integers("transform", f"crop_{name}", [at]) for name, at in bounds.items()]
    return draft.node("transform", "crop", "Slice", [lines, *inputs])


def _kronecker(draft: Draft, name: str, matrix: NDArray[np.float64]) -> ir.Value:
    """The Kronecker product of a matrix and itself, from the matrix stored once."""
    height, width = matrix.shape
    values = matrix.astype(np.float32).reshape(height, 1, width, 1)
    vertical = draft.constant("weights", f"{name}_once", values)
    horizontal = draft.node(
        "weights", f"{name}_turned", "Transpose", [vertical], {"perm": [1, 0, 3, 2]}
    )
    product = draft.node("weights", f"{name}_product", "Mul", [vertical, horizontal])
    sizes = draft.integers("weights", f"{name}_shape", [height**2, width**2])
    return draft.node("weights", name, "Reshape", [product, sizes])

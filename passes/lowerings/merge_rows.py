"""The merge after Winograd: pick each output's maps row by row, in order, and add them up.

After A^T, row t*f + r of a map is row t of its r-th kind, and the kinds of all maps lie one after
the other. One Gather over rows of pixels chooses the maps, interleaves the kinds, and drops the
rows that the last tile computes beyond the output::

    chosen[n*o + i, t*f + r] = lines[image, r, position[i, n], t]
    Y[n] = sum_i coefficient[i, n] * chosen[n*o + i] + bias[n]

Unlike Transpose, Gather runs on every thread. Its index is computed in the graph from a column of
maps and a row of steps, so the file holds n*o + h' numbers of it.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from legoexport.lego.frozen import IndexArray
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site
from legoexport.passes.lowerings.fragments import Fragments
from legoexport.passes.lowerings.merge import weighted_sum
from legoexport.passes.lowerings.winograd_axis import TiledAxis


def gather_rows_and_sum(
    draft: Draft, lines: ir.Value, site: Site, rows: TiledAxis, fragments: Fragments
) -> ir.Value:
    """Merge ``lines``, which hold ``(images, f, maps, tiles, w')`` in this order in any shape."""
    images, maps = fragments.images(site.frozen), fragments.maps(site.frozen)
    count = images * rows.transforms.tile * maps * rows.tiles
    column, row = _index(fragments.position(site.frozen), maps, rows)
    return sum_of_rows(draft, lines, site, count, (column, row))


def sum_of_rows(
    draft: Draft,
    lines: ir.Value,
    site: Site,
    count: int,
    index: tuple[IndexArray, IndexArray],
) -> ir.Value:
    """Gather rows of pixels and add up each o of the maps that they form.

    Args:
        draft: Receives the nodes.
        lines: ``count`` rows of w' pixels for each of the batch, in any shape.
        site: The layer and its place.
        count: Rows of an image.
        index: First row of each chosen map, ``(n*o, 1)``, and the way to its others, ``(1, h')``.
    """
    sizes = draft.integers("merge", "lines_shape", [-1, count, site.output_size[1]])
    flat = draft.node("merge", "lines", "Reshape", [lines, sizes])
    column, row = index
    inputs = [
        draft.constant("merge", "first_rows", column.astype(np.int32)),
        draft.constant("merge", "row_steps", row.astype(np.int32)),
    ]
    rows = draft.node("merge", "index", "Add", inputs)
    chosen = draft.node("merge", "gather", "Gather", [flat, rows], {"axis": 1})
    return weighted_sum(draft, chosen, site)


def _index(position: IndexArray, maps: int, rows: TiledAxis) -> tuple[IndexArray, IndexArray]:
    """The first row of each chosen map ``(n*o, 1)``, and the way to its others ``(1, h')``."""
    tile = rows.transforms.tile
    image, place = np.divmod(position, maps)
    first = (image * tile * maps + place) * rows.tiles
    tiles, kinds = np.divmod(np.arange(rows.output_length), tile)
    return first.T.reshape(-1, 1), (kinds * maps * rows.tiles + tiles)[None]

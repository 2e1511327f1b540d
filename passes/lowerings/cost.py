"""What each lowering costs one image: multiply-adds, floats that pass through memory, and nodes.

A convolution in the blocked layout reads its input and writes its output while it computes, so only
its weights count as moved: for every image again, unless they fit the second-level cache, as those
of one point of a row transform do. Every other operator reads and writes all that it touches, and
so does the reordering into and out of the blocked layout::

    gather    2 o n p    chosen maps, read and written, p output pixels
    sum     (o + 1) n p
    reorder   2 maps p   out of the blocked layout before the gather, and 2 n p back into it after
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from legoexport.passes.lowerings.base import Site, filter_taps
from legoexport.passes.lowerings.fragments import AS_BATCH, AS_GROUPS, AS_STACK, Fragments
from legoexport.passes.lowerings.stacked_map import StackedMap
from legoexport.passes.lowerings.winograd import F4, F7, Transforms
from legoexport.passes.lowerings.winograd_axis import TiledAxis
from legoexport.passes.lowerings.winograd_tiles import tiled_axes


@dataclass(frozen=True)
class Footprint:
    """The cost of a layer for one image, independent of the machine.

    Attributes:
        macs: Multiply-adds of convolutions in the blocked layout.
        floats: Floats read and written by everything else, and weights.
        nodes: Operators that run.
        weights: Floats that stay in memory once the runtime has folded what the file computes.
        alive: Floats of the maps that the widest operator reads and writes.
    """

    macs: int
    floats: int
    nodes: int
    weights: int
    alive: int


def dense(site: Site) -> Footprint:
    """One convolution."""
    frozen = site.frozen
    weight = frozen.n * frozen.o * filter_taps(frozen)
    return Footprint(weight * site.output_pixels, weight, 1, weight, _ends(site))


def direct(site: Site, fragments: Fragments) -> Footprint:
    """One convolution over the fragments, gather and sum."""
    frozen = site.frozen
    weight = fragments.filters(frozen) * filter_taps(frozen)
    maps = fragments.images(frozen) * fragments.maps(frozen)
    floats = fragments.images(frozen) * weight + 2 * maps * site.output_pixels
    floats += _merged_floats(site)
    if fragments is AS_BATCH:
        height, width = site.input_size
        floats += 2 * frozen.c * height * width
    macs = maps * filter_taps(frozen) * site.output_pixels
    return Footprint(macs, floats, 5, weight, _widest(site, maps * site.output_pixels))


def fragment_stack(site: Site) -> Footprint:
    """As fragments in a batch, with Pad, Gather and the rows between fragments."""
    batch, stacked = direct(site, AS_BATCH), StackedMap.of(site)
    height, width = site.input_size
    spaced = 2 * site.frozen.c * (height + stacked.gap) * width
    maps = AS_STACK.maps(site.frozen) * site.output_size[1]
    between = maps * (stacked.distance - site.output_size[0])
    return Footprint(
        batch.macs + between * filter_taps(site.frozen),
        batch.floats + spaced + 2 * between,
        batch.nodes + 2,
        batch.weights,
        max(batch.alive, 2 * (maps * stacked.distance)),
    )


def per_fragment(site: Site) -> Footprint:
    """Split, a convolution for each fragment, and the maps joined before gather and sum."""
    frozen, pairs = site.frozen, site.frozen.selection.pair_count
    height, width = site.input_size
    moved = 2 * frozen.c * height * width + 4 * pairs * site.output_pixels
    weight = pairs * filter_taps(frozen)
    floats = weight + moved + _merged_floats(site)
    alive = _widest(site, pairs * site.output_pixels)
    return Footprint(weight * site.output_pixels, floats, 5 + 2 * frozen.o, weight, alive)


def grouped_dense_merge(site: Site) -> Footprint:
    """Two convolutions; nothing leaves the blocked layout."""
    frozen = site.frozen
    maps = AS_GROUPS.maps(frozen)
    weight = maps * (filter_taps(frozen) + frozen.n)
    alive = max(_ends(site), (maps + frozen.n) * site.output_pixels)
    return Footprint(weight * site.output_pixels, weight, 2, weight, alive)


def winograd_rows(site: Site, transforms: Transforms, fragments: Fragments) -> Footprint:
    """A depthwise and an ordinary convolution for each point, A^T, gather and sum."""
    frozen, rows, points = site.frozen, TiledAxis.of(site, 0, transforms), transforms.points
    images, maps = fragments.images(frozen), fragments.maps(frozen)
    taps = points * filter_taps(frozen) // frozen.kernel[0]
    weight = fragments.filters(frozen) * taps
    line = rows.tiles * site.output_size[1]
    products = images * maps * line
    # Concat and reordering of the products, then A^T from a rows to f.
    floats = weight + _input_floats(site, rows) + products * (5 * points + transforms.tile)
    if fragments is AS_STACK:
        floats += 2 * frozen.c * site.input_size[0] * site.input_size[1]
    nodes = 2 * points + 6
    alive = _widest(site, products * points)
    macs = images * maps * taps * line
    return Footprint(macs, floats + _merged_floats(site), nodes, weight, alive)


def winograd_tiles(site: Site, transforms: Transforms, fragments: Fragments) -> Footprint:
    """Depthwise convolutions for each point, one grouped convolution, A^T, gather and sum."""
    frozen, (rows, columns) = site.frozen, tiled_axes(site, transforms)
    points, tile = transforms.points, transforms.tile
    images, maps, tiles = (
        fragments.images(frozen),
        fragments.maps(frozen),
        rows.tiles * columns.tiles,
    )
    weight = points**2 * fragments.filters(frozen) * (frozen.c // frozen.o)
    # Horizontal convolutions read each of a rows a times; Concat copies all a^2 values.
    inputs = points**2 * frozen.c * (rows.tiles * site.input_size[1] + 3 * tiles)
    outputs = images * maps * tiles * 3 * (points**2 + tile**2)
    floats = images * weight + _input_floats(site, rows) + inputs + outputs + _merged_floats(site)
    nodes = points * (points + 1) + 10
    alive = _widest(site, points**2 * max(images * maps, frozen.c) * tiles)
    return Footprint(images * weight * tiles, floats, nodes, weight, alive)


def _input_floats(site: Site, rows: TiledAxis) -> int:
    """Floats that the depthwise convolutions along one axis read and write."""
    height, width = site.input_size
    return rows.transforms.points * site.frozen.c * width * (height + rows.tiles)


def _ends(site: Site) -> int:
    """Floats of the maps that enter and leave the layer."""
    height, width = site.input_size
    return site.frozen.c * height * width + site.frozen.n * site.output_pixels


def _widest(site: Site, maps_floats: int) -> int:
    """Floats alive where maps are copied, or gathered, or what is gathered is copied."""
    chosen = site.frozen.o * site.frozen.n * site.output_pixels
    return max(_ends(site), 2 * maps_floats, maps_floats + chosen, 2 * chosen)


def _merged_floats(site: Site) -> int:
    """Gather, sum, and the way back into the blocked layout."""
    return (3 * site.frozen.o + 3) * site.frozen.n * site.output_pixels


FOOTPRINTS: dict[str, Callable[[Site], Footprint]] = {
    "dense": dense,
    "grouped": lambda site: direct(site, AS_GROUPS),
    "grouped_dense_merge": grouped_dense_merge,
    "per_fragment": per_fragment,
    "fragment_batch": lambda site: direct(site, AS_BATCH),
    "fragment_stack": fragment_stack,
    "winograd_rows_4": lambda site: winograd_rows(site, F4, AS_GROUPS),
    "winograd_rows_4_batch": lambda site: winograd_rows(site, F4, AS_BATCH),
    "winograd_rows_4_stack": lambda site: winograd_rows(site, F4, AS_STACK),
    "winograd_rows_7": lambda site: winograd_rows(site, F7, AS_GROUPS),
    "winograd_rows_7_batch": lambda site: winograd_rows(site, F7, AS_BATCH),
    "winograd_tiles_4": lambda site: winograd_tiles(site, F4, AS_GROUPS),
    "winograd_tiles_4_batch": lambda site: winograd_tiles(site, F4, AS_BATCH),
}

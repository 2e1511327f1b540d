"""What a layer costs in integers: bytes and multiply-adds, independent of the machine.

A convolution in integers copies what its filters cover, unless they are 1x1, multiplies, sums in 32
bits, and rounds every sum to an integer of 8 bits. Each of these takes time, and memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from legoexport.passes.lowerings.base import Footprint, Site, filter_taps
from legoexport.passes.lowerings.dense import Dense
from legoexport.passes.lowerings.int8.maps import width

SUM_BYTES = 4
# DequantizeLinear and Add for each fragment: Gather moves bytes, whole maps at a time, and the
# rounding at the end is one of the sums.
FLOAT_OPERATORS = 2
# On maps of 2x2 an operator on floats takes as long as so many of the others to start.
FLOAT_STARTS = 5


@dataclass(frozen=True)
class IntegerWork:
    """What one image asks of a machine: a number for each of ``IntegerRates``, in their order.

    Attributes:
        macs: Multiply-adds in one group, which the fast kernels for integers compute.
        grouped_macs: Those of convolutions in groups.
        sums: Numbers of 32 bits that are read one by one: sums that are rounded to 8 bits, and
            what is added as floats.
        copies: Pieces that are copied one by one: what filters cover, and what is split and joined.
            Channels lie side by side, so all channels of a row of taps are one piece; those of a
            fragment are one for each tap, unless the fragment stands alone.
        nodes: Operators that run.
    """

    macs: int
    grouped_macs: int
    sums: int
    copies: int
    nodes: int


def dense_work(site: Site) -> IntegerWork:
    """Count one convolution of the assembled weight."""
    frozen, pixels = site.frozen, site.output_pixels
    macs = frozen.n * frozen.o * filter_taps(frozen) * pixels
    return IntegerWork(macs, 0, frozen.n * pixels, _rows_count(site), nodes=1)


def grouped_work(site: Site) -> IntegerWork:
    """Count a convolution with a group per fragment, and the dense merge."""
    (transform, merge, sums), frozen = _halves(site), site.frozen
    per_row = frozen.o * frozen.kernel[1] if frozen.o > 1 else 1
    return IntegerWork(merge, transform, sums, per_row * _rows_count(site), nodes=2)


def per_fragment_work(site: Site) -> IntegerWork:
    """Count a convolution for each fragment, what splits and joins them, and the dense merge."""
    (transform, merge, sums), (height, width_) = _halves(site), site.input_size
    is_split = site.frozen.o > 1
    joined = (height * width_ + site.output_pixels) * is_split
    copies = site.frozen.o * (_rows_count(site) + joined)
    return IntegerWork(transform + merge, 0, sums, copies, nodes=site.frozen.o + 1 + 2 * is_split)


def gathered_work(site: Site) -> IntegerWork:
    """Count a convolution for each fragment, what splits them, and each operator on floats."""
    (transform, _, sums), (height, width_) = _halves(site), site.input_size
    o, is_split = site.frozen.o, site.frozen.o > 1
    copies = o * (_rows_count(site) + height * width_ * is_split)
    floats = FLOAT_OPERATORS * o * site.frozen.n * site.output_pixels
    on_floats = 3 * o + 1
    nodes = o + FLOAT_STARTS * on_floats + 1 + is_split
    return IntegerWork(transform, 0, sums + floats, copies, nodes)


def _rows_count(site: Site) -> int:
    """Rows of taps that are copied, at all places of a filter: none for filters of 1x1."""
    height, width_ = site.frozen.kernel
    return 0 if height * width_ == 1 else height * site.output_pixels


def covered_bytes(site: Site) -> int:
    """Bytes that filters cover at all their places, each place copied: none for filters of 1x1."""
    frozen = site.frozen
    taps = frozen.kernel[0] * frozen.kernel[1]
    return 0 if taps == 1 else frozen.c * taps * site.output_pixels


def _halves(site: Site) -> tuple[int, int, int]:
    """Multiply-adds of the maps and of the merge, padding included, and sums of both."""
    frozen, pixels = site.frozen, site.output_pixels
    maps = frozen.o * width(frozen)
    return (
        maps * filter_taps(frozen) * pixels,
        maps * frozen.n * pixels,
        (maps + frozen.n) * pixels,
    )


def dense_footprint(site: Site) -> Footprint:
    """Count the dense convolution as in float; ``alive`` are bytes here, those of its sums too."""
    results = site.frozen.n * site.output_pixels
    alive = site.end_floats + SUM_BYTES * results + covered_bytes(site)
    return replace(Dense().footprint(site), alive=alive)


def grouped_footprint(site: Site) -> Footprint:
    """Count the convolution in groups, which take turns to copy what they cover, and the merge."""
    entering, maps = _ends(site)
    convolution = entering + maps * (1 + SUM_BYTES) + covered_bytes(site) // site.frozen.o
    return _maps_footprint(site, nodes=2, alive=convolution)


def per_fragment_footprint(site: Site) -> Footprint:
    """Count the fragments' convolutions, of which the last finds the maps of the others."""
    alive = max(_fragments_alive(site), 2 * _ends(site)[1])
    return _maps_footprint(site, nodes=4 + site.frozen.o, alive=alive)


def gathered_footprint(site: Site) -> Footprint:
    """Count the fragments' convolutions, and two maps of floats that are added to a third."""
    frozen, (_, maps) = site.frozen, _ends(site)
    weight = frozen.o * width(frozen) * filter_taps(frozen)
    summed = SUM_BYTES * frozen.n * site.output_pixels
    macs = (weight + frozen.o * frozen.n) * site.output_pixels
    return Footprint(
        macs,
        compute_bound_macs=weight * site.output_pixels,
        floats=weight + frozen.o * summed,
        nodes=4 + 4 * frozen.o,
        weights=weight + SUM_BYTES * frozen.o * frozen.n,
        alive=max(_fragments_alive(site), maps + 3 * summed),
    )


def _fragments_alive(site: Site) -> int:
    """Bytes while the input is split, or while the last fragment makes its maps."""
    entering, maps = _ends(site)
    sums_and_copies = (SUM_BYTES * maps + covered_bytes(site)) // site.frozen.o
    return max(2 * entering, entering + maps + sums_and_copies)


def _maps_footprint(site: Site, nodes: int, alive: int) -> Footprint:
    """Count the maps, padding included, and the zeros of the merge; all floats are bytes here."""
    frozen, maps = site.frozen, site.frozen.o * width(site.frozen)
    weight = maps * (filter_taps(frozen) + frozen.n)
    macs = weight * site.output_pixels
    merging = (maps + frozen.n * (1 + SUM_BYTES)) * site.output_pixels
    return Footprint(
        macs, macs, floats=weight, nodes=nodes, weights=weight, alive=max(alive, merging)
    )


def _ends(site: Site) -> tuple[int, int]:
    """Bytes of the map that enters, and of all maps between the two halves."""
    frozen, (height, width_) = site.frozen, site.input_size
    return frozen.c * height * width_, frozen.o * width(frozen) * site.output_pixels

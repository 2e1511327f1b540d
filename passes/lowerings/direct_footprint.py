"""What the direct forms have in common: one convolution over the fragments, gather and sum."""

from __future__ import annotations

from legoexport.passes.lowerings.base import Footprint, Site, filter_taps
from legoexport.passes.lowerings.fragments import AS_BATCH, Fragments
from legoexport.passes.lowerings.merge import alive_floats, merge_floats, merge_macs


def direct_footprint(site: Site, fragments: Fragments) -> Footprint:
    """Count one convolution of ``fragments``, padded groups included, and the merge.

    The maps are reordered out of the blocked layout before the gather.
    """
    frozen = site.frozen
    weight = fragments.filters(frozen) * filter_taps(frozen)
    maps_floats = fragments.images(frozen) * fragments.maps(frozen) * site.output_pixels
    floats = fragments.images(frozen) * weight + 2 * maps_floats + merge_floats(site)
    if fragments is AS_BATCH:
        height, width = site.input_size
        floats += 2 * frozen.c * height * width
    macs = maps_floats * filter_taps(frozen)
    return Footprint(
        macs=macs + merge_macs(site),
        compute_bound_macs=macs,
        floats=floats,
        nodes=5,
        weights=weight,
        alive=alive_floats(site, maps_floats),
    )

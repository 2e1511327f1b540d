"""What a layer costs whose maps are integers, whichever way they are computed."""

from __future__ import annotations

from legoexport.passes.lowerings.base import Footprint, Site, filter_taps
from legoexport.passes.lowerings.int8.maps import width


def maps_footprint(site: Site, nodes: int) -> Footprint:
    """Count the maps, padding included, and the zeros of the merge; ``floats`` are bytes here."""
    frozen = site.frozen
    maps = frozen.o * width(frozen)
    weight = maps * (filter_taps(frozen) + frozen.n)
    macs, between = weight * site.output_pixels, (maps + frozen.n) * site.output_pixels
    alive = max(site.end_floats, between)
    return Footprint(macs, macs, floats=weight, nodes=nodes, weights=weight, alive=alive)

"""A plan for a network that computes in int8, chosen without measuring.

A form with maps takes two convolutions and stores its maps in between, so it has to save
multiply-adds to be faster than the one dense convolution of codes that are assembled at load.
"""

from __future__ import annotations

from collections.abc import Iterable

from legoexport.errors import UsageError
from legoexport.passes.lowerings import INT8_LOWERINGS, Site, find_lowering
from legoexport.passes.plan import Plan, why_not
from legoexport.target import Target

# Over the multiply-adds of dense, the form with maps broke even at about this ratio.
WORTH_RATIO = 1.25
DENSE = "int8_dense"


def integer_plan(sites: Iterable[Site], target: Target) -> Plan:
    """Choose a lowering in integers for every layer.

    Raises:
        UsageError: Every lowering of ``target`` declines a layer.
    """
    return Plan({site.layer: _choose(site, target) for site in sites})


def _choose(site: Site, target: Target) -> str:
    wished = [name for name in target.lowerings if name in INT8_LOWERINGS]
    order = [*wished, *(name for name in _order(site) if name in target.int8_lowerings)]
    reasons = {name: why_not(name, site, target) for name in order}
    able = [name for name in order if reasons[name] is None]
    if not able:
        raise UsageError(f"layer {site.layer}: every lowering declines", received=reasons)
    return able[0]


def _order(site: Site) -> tuple[str, ...]:
    """Kernels larger than 1x1 take the fast kernels for integers only in one group."""
    maps = ("int8_per_fragment", "int8_grouped")
    if site.frozen.kernel == (1, 1):
        maps = ("int8_grouped", "int8_per_fragment")
    dense_macs, maps_macs = (find_lowering(name).footprint(site).macs for name in (DENSE, maps[0]))
    return (*maps, DENSE) if maps_macs * WORTH_RATIO < dense_macs else (DENSE, *maps)

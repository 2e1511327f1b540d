"""A plan for a network that computes in int8, chosen without measuring.

A form with maps takes two convolutions and stores its maps in between, so it has to save
multiply-adds to be faster than the one dense convolution of codes that are assembled at load. On a
target that was measured, the cost model says whether it is; elsewhere the multiply-adds do.

For speed with more than one thread no layer gets ``int8_gathered`` by itself: its operators on
floats are too small to divide, and threads make them slower (ONNX Runtime 1.32, docs/lowerings.md).
"""

from __future__ import annotations

from collections.abc import Iterable

from legoexport.errors import UsageError
from legoexport.passes.lowerings import INT8_LOWERINGS, Site, find_lowering
from legoexport.passes.plan import Plan, why_not
from legoexport.passes.preference import FASTEST, Preference, chosen_plan
from legoexport.target import GATHERED, Choice, Target

# Over the multiply-adds of dense, the form with maps broke even at about this ratio.
WORTH_RATIO = 1.25
DENSE = "int8_dense"


def integer_plan(sites: Iterable[Site], target: Target, preference: Preference = FASTEST) -> Plan:
    """Choose a lowering in integers for every layer.

    Raises:
        UsageError: Every lowering of ``target`` declines a layer.
    """
    names = _automatic(target, preference)
    able = {site: _able(site, target, names) for site in sites}
    if not able:
        return Plan({}, preference.sums)
    wishes = any(name in INT8_LOWERINGS for name in target.lowerings)
    choice: Choice = "time" if target.choice == "time" and not wishes else "order"
    return chosen_plan(able, choice, preference)


def _automatic(target: Target, preference: Preference) -> tuple[str, ...]:
    """Return what a layer may get by itself."""
    if preference.objective != "latency" or max(preference.threads) == 1:
        return target.int8_lowerings
    return tuple(name for name in target.int8_lowerings if name != GATHERED)


def _able(site: Site, target: Target, automatic: tuple[str, ...]) -> tuple[str, ...]:
    """Return what can serve ``site``, the preferred one first."""
    wished = [name for name in target.lowerings if name in INT8_LOWERINGS]
    order = [*wished, *(name for name in _order(site, target) if name in automatic)]
    reasons = {name: why_not(name, site, target) for name in order}
    able = tuple(name for name, reason in reasons.items() if reason is None)
    if not able:
        raise UsageError(f"layer {site.layer}: every lowering declines", received=reasons)
    return able


def _order(site: Site, target: Target) -> tuple[str, ...]:
    """Kernels larger than 1x1 take the fast kernels for integers only in one group.

    Where time is estimated, dense comes first: it rounds nothing in between.
    """
    maps = ("int8_per_fragment", "int8_grouped")
    if site.frozen.kernel == (1, 1):
        maps = ("int8_grouped", "int8_per_fragment")
    dense_macs, maps_macs = (find_lowering(name).footprint(site).macs for name in (DENSE, maps[0]))
    saves = target.choice != "time" and maps_macs * WORTH_RATIO < dense_macs
    return (*maps, GATHERED, DENSE) if saves else (DENSE, *maps, GATHERED)

"""The plans that are tried: one lowering wherever it serves, and changes of one kind of layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from legoexport.compile.stages import Prepared
from legoexport.errors import UsageError
from legoexport.passes.cost_model import yardstick
from legoexport.passes.eligible import eligible
from legoexport.passes.lowerings import Site
from legoexport.passes.plan import Plan, why_not
from legoexport.target import Target

# Milliseconds of a layer by (lowering, layer), at one number of threads.
LayerTimes = Mapping[tuple[str, str], float]


def uniform_plans(prepared: Prepared) -> dict[str, Plan]:
    """Return for each lowering of the target, in the precision, the plan that uses it.

    A layer that a lowering declines gets the first one that serves it.

    Raises:
        UsageError: The network has no Lego layer, or the target does not allow the dense form.
    """
    target, sites = prepared.options.target, prepared.sites
    in_float = prepared.options.precision == "fp32"
    names = eligible(target) if in_float else target.int8_lowerings
    if not sites or yardstick(names) not in names:
        raise UsageError("there is nothing to tune", received=f"{len(sites)} Lego layers")
    plans = {}
    for name in names:
        if any(why_not(name, site, target) is None for site in sites):
            order = (name, *names)
            chosen = {site.layer: _first_that_serves(order, site, target) for site in sites}
            plans[name] = Plan(chosen, prepared.options.preference.sums)
    return plans


def _first_that_serves(names: Iterable[str], site: Site, target: Target) -> str:
    return next(name for name in names if why_not(name, site, target) is None)


def kinds(sites: Iterable[Site]) -> tuple[tuple[str, ...], ...]:
    """Group the layers that do the same work: same tables' shapes, geometry and map."""
    groups: dict[object, list[str]] = {}
    for site in sites:
        frozen = site.frozen
        geometry = (frozen.stride, frozen.padding, frozen.dilation)
        key = (frozen.lego.shape, frozen.index.shape, geometry, site.input_size)
        groups.setdefault(key, []).append(site.layer)
    return tuple(tuple(layers) for layers in groups.values())


def combine(
    plans: Mapping[str, Plan], times: Mapping[int, LayerTimes], groups: Iterable[Sequence[str]]
) -> Plan:
    """Take for each group of layers the lowering with the least time over all thread counts.

    Layers of one kind decide together, because the noise of each alone is as large as the
    difference between lowerings.
    """
    shares = share_of_dense(times)
    chosen = {}
    for layers in groups:
        costs = {name: sum(shares[name, layer] for layer in layers) for name in plans}
        best = plans[min(costs, key=costs.__getitem__)]
        chosen.update({layer: best.lowerings[layer] for layer in layers})
    dense = plans[yardstick(plans)]
    return replace(dense, lowerings={layer: chosen[layer] for layer in dense.lowerings})


def share_of_dense(times: Mapping[int, LayerTimes]) -> LayerTimes:
    """Sum over thread counts each layer's time as a share of the dense model's total."""
    keys = next(iter(times.values()))
    dense = yardstick(name for name, _ in keys)
    totals = {
        threads: sum(time_ms for (name, _), time_ms in of_layers.items() if name == dense)
        for threads, of_layers in times.items()
    }
    return {key: sum(times[threads][key] / totals[threads] for threads in times) for key in keys}


def changes(
    plan: Plan, plans: Mapping[str, Plan], shares: LayerTimes, sites: Iterable[Site]
) -> list[Plan]:
    """Return ``plan`` with one kind of layer changed, the most promising change first.

    Args:
        plan: Where to start from.
        plans: The uniform plans.
        shares: Time of each layer under each of them, as a share.
        sites: The layers.
    """
    found: list[tuple[float, Plan]] = []
    for layers in kinds(sites):
        first = layers[0]
        for name, uniform in plans.items():
            serves = uniform.lowerings[first] == name != plan.lowerings[first]
            if serves:
                now = sum(shares[plan.lowerings[layer], layer] for layer in layers)
                gain = now - sum(shares[name, layer] for layer in layers)
                changed = {**plan.lowerings, **dict.fromkeys(layers, name)}
                found.append((gain, replace(plan, lowerings=changed)))
    return [changed for _, changed in sorted(found, key=lambda one: -one[0])]

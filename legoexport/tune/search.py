"""The search: screen, combine, compare, refine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from legoexport.compile.pipeline import preferred
from legoexport.compile.stages import Prepared
from legoexport.host.progress import Progress
from legoexport.measure.statistics import RatioInterval
from legoexport.passes.cost_model import yardstick
from legoexport.passes.plan import Plan
from legoexport.signals import temporary_folder
from legoexport.tune.candidates import (
    LayerTimes,
    changes,
    combine,
    kinds,
    share_of_dense,
    uniform_plans,
)
from legoexport.tune.options import Tuned, TuneOptions
from legoexport.tune.workshop import Workshop

# Two starts of one file differ by about this much; a smaller gain changes nothing.
WORTH_RATIO = 1.01


def tune(prepared: Prepared, options: TuneOptions, progress: Progress = lambda _: None) -> Tuned:
    """Find a fast plan for ``prepared`` by measuring where ``options`` say.

    At the end the plan is compared with the dense form of the precision, over all thread counts
    together. If that wins, it is returned.

    Raises:
        UsageError: The network has no Lego layer, the target does not allow the dense form, or the
            runtime is not installed.
    """
    uniform = uniform_plans(prepared)
    with temporary_folder("legoexport-tune-") as folder:
        workshop = Workshop(prepared, folder, options, progress)
        times = workshop.screen(uniform, prepared.sites)
        finalists = _finalists(workshop, uniform, times)
        best = _champion(workshop, finalists)
        plan = _refine(workshop, finalists[best], uniform, share_of_dense(times))
        name = best if plan is finalists[best] else f"{best}, refined"
        return _against_dense(workshop, plan, name, uniform)


def _finalists(
    workshop: Workshop, uniform: Mapping[str, Plan], times: Mapping[int, LayerTimes]
) -> dict[str, Plan]:
    """The cost model's plan, the best of each layer, the best uniform one, and dense."""
    prepared, dense = workshop.prepared, yardstick(uniform)
    best = workshop.fastest(uniform, times)
    threads = workshop.options.threads
    wish = replace(prepared.options.preference, objective="latency", threads=threads)
    return {
        "cost model": preferred(prepared, wish),
        "mixed": combine(uniform, times, kinds(prepared.sites)),
        best: uniform[best],
        dense: uniform[dense],
    }


def _champion(workshop: Workshop, finalists: Mapping[str, Plan]) -> str:
    """Return the one that no other beats."""
    best, *challengers = finalists
    for name in challengers:
        workshop.progress(f"tuning: {name} against {best}")
        if workshop.challenge(finalists[name], finalists[best]) > 1:
            best = name
    return best


def _refine(
    workshop: Workshop, plan: Plan, uniform: Mapping[str, Plan], shares: LayerTimes
) -> Plan:
    """Try changes of one kind of layer until the budget is spent or none is left to try."""
    tried: set[Plan] = set()
    while workshop.has_time:
        untried = [
            one
            for one in changes(plan, uniform, shares, workshop.prepared.sites)
            if one not in tried
        ]
        if not untried:
            break
        tried.add(untried[0])
        workshop.progress(f"tuning: change {len(tried)}")
        if workshop.challenge(untried[0], plan) > WORTH_RATIO:
            plan = untried[0]
    return plan


def _against_dense(workshop: Workshop, plan: Plan, name: str, uniform: Mapping[str, Plan]) -> Tuned:
    workshop.progress("tuning: the plan against dense")
    threads, dense_name = workshop.options.threads, yardstick(uniform)
    dense = uniform[dense_name]
    speedups = {count: workshop.speedup(plan, dense, count) for count in threads}
    if prod(speedup.estimate_ratio for speedup in speedups.values()) < 1:
        plan, name = dense, dense_name
        speedups = {count: RatioInterval(1.0, 1.0, 1.0) for count in threads}
    return Tuned(plan, name, speedups, workshop.seconds)

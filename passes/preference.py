"""Preference: what a plan saves, and how one is chosen without measuring.

latency    as the target chooses: the cost model's time summed over thread counts, each as a share
           of dense; or the least multiply-adds; or the first lowering that serves
memory     sum of folded weights, and the maps of the widest layer
size       bytes that the file holds
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from legoexport.errors import UsageError
from legoexport.passes.cost_model import element_bytes, seconds, yardstick
from legoexport.passes.draft import Draft
from legoexport.passes.eligible import automatic
from legoexport.passes.lowerings import INT8_LOWERINGS, Site, Sums, find_lowering
from legoexport.passes.machine_constants import BUILT_IN, MachineConstants, Rates
from legoexport.passes.plan import Plan, why_not
from legoexport.target import OBJECTIVES, Choice, Target

# A layer leaves the lowering that its target prefers only to save more than this: below it, what
# the model says is noise, and so is what there is to gain.
WORTH_SECONDS = 20e-6
# In integers less of what the model says is noise, and layers are faster: of digits of 8x8 pixels,
# a whole layer takes 20 us.
INTEGER_WORTH_SECONDS = 1e-6
# Names, attributes and edges of a node in the file.
NODE_BYTES = 200


@dataclass(frozen=True)
class Preference:
    """What the plan saves.

    Attributes:
        objective: ``latency``, ``memory`` after load, or ``size`` of the file.
        threads: Thread counts to choose the plan for; each weighs the same.
        constants: The machine whose time the cost model estimates.
        ort_format: Whether the file is to be in ORT format, which stores weights folded.
    """

    objective: str = "latency"
    threads: tuple[int, ...] = (1,)
    constants: MachineConstants = BUILT_IN
    ort_format: bool = False

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            legal = ", ".join(OBJECTIVES)
            raise UsageError("unknown objective", received=self.objective, legal=legal)
        if not self.threads or min(self.threads) < 1:
            raise UsageError("threads must be positive", received=self.threads)

    @property
    def rates(self) -> tuple[Rates, ...]:
        """What the machine does with each of ``threads``."""
        return tuple(self.constants.with_threads(count) for count in self.threads)

    def asks_the_cost_model(self, target: Target) -> bool:
        """Whether the plan for ``target`` depends on ``constants``."""
        return self.objective != "latency" or target.choice == "time"

    @property
    def sums(self) -> Sums:
        """How merges add up: by blocks, except where the weights of blocks would cost bytes."""
        return "by output" if self.objective == "size" or self.ort_format else "by blocks"


FASTEST = Preference()


def preferred_plan(sites: Iterable[Site], target: Target, preference: Preference = FASTEST) -> Plan:
    """Choose a lowering for every layer without measuring.

    Raises:
        UsageError: Every lowering of ``target`` declines a layer.
    """
    summed = [replace(site, sums=preference.sums) for site in sites]
    able = {site: _able(site, target) for site in summed}
    if not able:
        return Plan({}, preference.sums)
    return chosen_plan(able, target.choice, preference)


Able = Mapping[Site, Sequence[str]]
Chosen = dict[Site, str]


def chosen_plan(able: Able, choice: Choice, preference: Preference) -> Plan:
    """Choose one of the lowerings that each site can have; where time decides, by ``choice``."""
    objective = preference.objective
    chooser = CHOOSERS[choice if objective == "latency" else objective]
    chosen = chooser(able, preference.rates)
    return Plan({site.layer: name for site, name in chosen.items()}, preference.sums)


def held_bytes(site: Site, name: str) -> int:
    """Bytes of weights that the runtime keeps for a layer once it has folded them."""
    return element_bytes(name) * find_lowering(name).footprint(site).weights


def alive_bytes(site: Site, name: str) -> int:
    """Bytes of the maps that the widest operator of a layer reads and writes."""
    return element_bytes(name) * find_lowering(name).footprint(site).alive


def stored_bytes(site: Site, name: str) -> int:
    """Bytes that the file holds for a layer beside its bank: tables, and what names its nodes."""
    draft = Draft(site.layer)
    integers = ir.node("DequantizeLinear", [ir.val("integers")]).outputs[0]
    find_lowering(name).build(draft, integers, ir.val("bank"), site)
    tables = sum(value.const_value.nbytes for value in draft.initializers if value.const_value)
    return tables + NODE_BYTES * len(draft.nodes)


def _able(site: Site, target: Target) -> tuple[str, ...]:
    reasons = {name: why_not(name, site, target) for name in automatic(target)}
    able = tuple(name for name, reason in reasons.items() if reason is None)
    if not able:
        raise UsageError(f"layer {site.layer}: every lowering declines", received=reasons)
    return able


def _fastest(able: Able, rates: Sequence[Rates]) -> Chosen:
    costs = _costs(able, rates)
    chosen = {}
    for site, (first, *others) in able.items():
        best = min((first, *others), key=lambda name: costs[site, name])
        gain = costs[site, first] - costs[site, best]
        worth_s = INTEGER_WORTH_SECONDS if first in INT8_LOWERINGS else WORTH_SECONDS
        chosen[site] = best if gain > worth_s else first
    return chosen


def _costs(able: Able, rates: Sequence[Rates]) -> dict[tuple[Site, str], float]:
    """Seconds at the first number of threads; those at others scaled to weigh the same."""
    by_count = [
        {(site, name): seconds(site, name, of_count) for site in able for name in able[site]}
        for of_count in rates
    ]
    totals = [
        sum(seconds(site, yardstick(names), of_count) for site, names in able.items())
        for of_count in rates
    ]
    scales = [totals[0] / total / len(rates) for total in totals]
    return {
        key: sum(scale * costs[key] for scale, costs in zip(scales, by_count, strict=True))
        for key in by_count[0]
    }


def _least_memory(able: Able, rates: Sequence[Rates]) -> Chosen:
    """Weights add up, maps do not: try every limit on the maps of a layer."""
    alive = {(site, name): alive_bytes(site, name) for site in able for name in able[site]}
    costs = _costs(able, rates)
    least = max(min(alive[site, name] for name in names) for site, names in able.items())
    plans = []
    for limit in sorted({bytes_ for bytes_ in alive.values() if bytes_ >= least}):
        chosen = {
            site: min(
                (name for name in names if alive[site, name] <= limit),
                key=lambda name: (held_bytes(site, name), costs[site, name]),
            )
            for site, names in able.items()
        }
        plans.append((limit + sum(held_bytes(*one) for one in chosen.items()), chosen))
    return min(plans, key=lambda plan: plan[0])[1]


def _smallest(able: Able, rates: Sequence[Rates]) -> Chosen:
    costs = _costs(able, rates)
    return {
        site: min(names, key=lambda name: (stored_bytes(site, name), costs[site, name]))
        for site, names in able.items()
    }


def _with_least_work(able: Able, rates: Sequence[Rates]) -> Chosen:
    del rates
    return {
        site: min(names, key=lambda name: find_lowering(name).footprint(site).macs)
        for site, names in able.items()
    }


def _first_in_order(able: Able, rates: Sequence[Rates]) -> Chosen:
    del rates
    return {site: names[0] for site, names in able.items()}


# By what a target chooses by where latency counts, and by the other objectives.
CHOOSERS: Mapping[str, Callable[[Able, Sequence[Rates]], Chosen]] = {
    "time": _fastest,
    "work": _with_least_work,
    "order": _first_in_order,
    "memory": _least_memory,
    "size": _smallest,
}

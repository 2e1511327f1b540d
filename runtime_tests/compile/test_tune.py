"""Tuning: what it measures, how it combines, and that its plan is an ordinary one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import lower, prepare
from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.errors import UsageError
from legoexport.measure.statistics import RatioInterval
from legoexport.passes.lowerings import INT8_LOWERINGS, Site
from legoexport.passes.plan import Plan, why_not
from legoexport.passes.preference import Preference
from legoexport.tune import TuneOptions, search, tune, workshop
from legoexport.tune.candidates import changes, combine, kinds, uniform_plans
from legoexport.tune.workshop import Workshop
from runtime_tests.networks import small_net
from runtime_tests.quantize.int8_network import small_int8

EXAMPLE = torch.zeros(1, 3, 12, 10)
YARDSTICK = "dense"
LAYERS = ("a", "b", "c")
NAMES = (YARDSTICK, "grouped", "per_fragment")
TIMES = st.fixed_dictionaries(
    {(name, layer): st.floats(0.01, 100) for name in NAMES for layer in LAYERS}
)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(freeze(small_net(), EXAMPLE), EXAMPLE, CompileOptions())


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested is what is measured and what follows from it, not how exactly."""
    monkeypatch.setattr(workshop, "LEAST_SLICE_S", 0.02)


def even(
    _: Workshop, plans: Mapping[str, Plan], sites: Sequence[Site]
) -> dict[int, dict[tuple[str, str], float]]:
    """Stands in for profiles, in which no lowering is any better than another."""
    return {1: {(name, one.layer): 1.0 for name in plans for one in sites}}


def test_uniform_plans_use_a_lowering_wherever_it_serves(prepared: Prepared) -> None:
    plans = uniform_plans(prepared)
    assert YARDSTICK in plans
    sites = {site.layer: site for site in prepared.sites}
    for name, plan in plans.items():
        plan.check(prepared.sites, prepared.options.target)
        for layer, chosen in plan.lowerings.items():
            serves = why_not(name, sites[layer], prepared.options.target) is None
            assert (chosen == name) == serves


def test_every_plan_that_is_tried_sums_as_the_format_wants(prepared: Prepared) -> None:
    options = replace(prepared.options, preference=Preference(ort_format=True))
    plans = uniform_plans(replace(prepared, options=options))
    times = {(name, site.layer): 1.0 for name in plans for site in prepared.sites}
    groups = kinds(prepared.sites)
    tried = [*plans.values(), combine(plans, {1: times}, groups)]
    tried += changes(tried[0], plans, times, prepared.sites)
    assert {plan.sums for plan in tried} == {"by output"}


def test_preparing_once_serves_many_plans(prepared: Prepared) -> None:
    before = prepared.model.graph.num_nodes()
    models = [lower(prepared, plan).model for plan in uniform_plans(prepared).values()]
    assert prepared.model.graph.num_nodes() == before
    assert len({model.SerializeToString(deterministic=True) for model in models}) == len(models)


@given(one=TIMES, four=TIMES)
def test_each_kind_of_layer_takes_its_cheapest_lowering(
    one: dict[tuple[str, str], float], four: dict[tuple[str, str], float]
) -> None:
    plans = {name: Plan(dict.fromkeys(LAYERS, name)) for name in NAMES}
    groups = (("a", "c"), ("b",))
    plan = combine(plans, {1: one, 4: four}, groups)

    def share(times: dict[tuple[str, str], float], name: str, layer: str) -> float:
        return times[name, layer] / sum(times[YARDSTICK, each] for each in LAYERS)

    assert tuple(plan.lowerings) == LAYERS
    for layers in groups:
        (chosen,) = {plan.lowerings[layer] for layer in layers}
        cost = {
            name: sum(share(times, name, layer) for layer in layers for times in (one, four))
            for name in NAMES
        }
        assert cost[chosen] == pytest.approx(min(cost.values()), rel=1e-12)  # order of sums


def test_layers_of_one_kind_change_together_the_most_promising_change_first(
    prepared: Prepared,
) -> None:
    sites, plans = prepared.sites, uniform_plans(prepared)
    groups = kinds(sites)
    assert sorted(layer for group in groups for layer in group) == sorted(s.layer for s in sites)
    start = plans["grouped"]
    rank = {name: position for position, name in enumerate(plans)}
    shares = {
        (name, layer): 1.0 + rank[name] * (1 + position)
        for name in plans
        for position, layer in enumerate(start.lowerings)
    }
    found = changes(start, plans, shares, sites)

    def gain(plan: Plan) -> float:
        return sum(shares["grouped", x] - shares[plan.lowerings[x], x] for x in start.lowerings)

    assert [gain(plan) for plan in found] == sorted(map(gain, found), reverse=True)
    for plan in found:
        plan.check(sites, prepared.options.target)
        changed = {layer for layer, name in plan.lowerings.items() if name != "grouped"}
        assert tuple(layer for layer in start.lowerings if layer in changed) in groups
    serving = sum(
        why_not(name, next(s for s in sites if s.layer == group[0]), prepared.options.target)
        is None
        for name in plans
        for group in groups
        if name != "grouped"
    )
    assert len(found) == len(set(found)) == serving


def test_a_tuned_plan_fits_its_network(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    plans = {name: uniform_plans(prepared)[name] for name in (*NAMES, "winograd_rows_4")}
    monkeypatch.setattr(search, "uniform_plans", lambda _: plans)
    steps: list[str] = []
    tuned = tune(prepared, TuneOptions(threads=(1,), budget_s=0.1), steps.append)
    tuned.plan.check(prepared.sites, prepared.options.target)
    assert set(tuned.speedups) == {1}
    assert steps
    assert tuned.to_json()["name"] == tuned.name


@pytest.mark.parametrize(
    ("threads", "budget_s"),
    [((), 1.0), ((0,), 1.0), ((1,), 0.0), ((1,), math.inf), ((1,), math.nan)],
)
def test_senseless_options_are_refused(threads: tuple[int, ...], budget_s: float) -> None:
    with pytest.raises(UsageError, match="positive"):
        TuneOptions(threads, budget_s)


def test_where_dense_wins_the_plan_is_dense(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    slower = RatioInterval(0.9, 0.9, 0.9)
    monkeypatch.setattr(Workshop, "screen", even)
    monkeypatch.setattr(Workshop, "speedup", lambda *_, **__: slower)
    tuned = tune(prepared, TuneOptions(budget_s=0.1))
    assert tuned.name == YARDSTICK
    assert set(tuned.plan.lowerings.values()) == {YARDSTICK}
    assert tuned.speedups[1].estimate_ratio == 1


def test_a_change_that_wins_is_kept(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    def challenge(_: Workshop, challenger: Plan, champion: Plan) -> float:
        """Like per_fragment above all."""
        count = [list(p.lowerings.values()).count("per_fragment") for p in (challenger, champion)]
        return 1.0 + 0.1 * (count[0] - count[1])

    monkeypatch.setattr(Workshop, "screen", even)
    monkeypatch.setattr(Workshop, "challenge", challenge)
    monkeypatch.setattr(Workshop, "has_time", True)
    monkeypatch.setattr(Workshop, "speedup", lambda *_, **__: RatioInterval(2.0, 2.0, 2.0))
    tuned = tune(prepared, TuneOptions(budget_s=0.1))
    assert set(tuned.plan.lowerings.values()) == {"per_fragment"}
    assert tuned.name == "per_fragment" or tuned.name.endswith(", refined")


def test_integers_are_tuned_among_lowerings_in_integers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted times: the profile and the comparisons like the form with groups best."""
    network = small_int8().prepared
    others = dict.fromkeys(INT8_LOWERINGS, 3.0)
    rank = others | {"int8_grouped": 1.0, "int8_dense": 2.0}

    def total(plan: Plan) -> float:
        return sum(rank[name] for name in plan.lowerings.values())

    def screen(
        _: Workshop, plans: Mapping[str, Plan], sites: Sequence[Site]
    ) -> dict[int, dict[tuple[str, str], float]]:
        return {1: {(name, one.layer): rank[name] for name in plans for one in sites}}

    def speedup(_: Workshop, plan: Plan, other: Plan, *__: int) -> RatioInterval:
        ratio = total(other) / total(plan)
        return RatioInterval(ratio, ratio, ratio)

    monkeypatch.setattr(Workshop, "screen", screen)
    monkeypatch.setattr(Workshop, "speedup", speedup)
    tuned = tune(network, TuneOptions(budget_s=0.1))
    assert set(tuned.plan.lowerings.values()) == {"int8_grouped"}
    assert tuned.speedups[1].estimate_ratio == 2
    tuned.plan.check(network.sites, network.options.target)
    assert set(uniform_plans(network)) == set(INT8_LOWERINGS)
    lowered = lower(network, tuned.plan)
    assert {one.lowering for one in lowered.layers} == {"int8_grouped"}


def test_integers_are_profiled_layer_by_layer(tmp_path: Path) -> None:
    network = small_int8().prepared
    shop = Workshop(network, tmp_path, TuneOptions(budget_s=0.01), lambda _: None)
    times = shop.screen(uniform_plans(network), network.sites)
    assert set(times[1]) == {(n, site.layer) for n in INT8_LOWERINGS for site in network.sites}
    assert min(times[1].values()) > 0

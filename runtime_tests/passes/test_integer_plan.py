"""The plan in integers: the cost model orders clear cases, and every objective gets its least."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.errors import UsageError
from legoexport.lego.names import codes_name
from legoexport.passes.cost_model import seconds
from legoexport.passes.integer_plan import integer_plan
from legoexport.passes.lowerings import INT8_LOWERINGS, Site
from legoexport.passes.lowerings.int8.footprint import covered_bytes
from legoexport.passes.machine_constants import BUILT_IN, IntegerRates, MachineConstants
from legoexport.passes.one_integer_layer import INPUT, integer_site, lowered_integer_layer
from legoexport.passes.plan import Plan
from legoexport.passes.preference import (
    NODE_BYTES,
    Preference,
    alive_bytes,
    held_bytes,
    stored_bytes,
)
from legoexport.target import CPU, NNAPI, OBJECTIVES, TARGETS
from runtime_tests.layers import random_frozen, run

RATES = IntegerRates(50e9, 40e9, 1e-9, 1e-8, 1e-6)


def site(channels: int, outputs: int, size: int, kernel: int = 3, o: int = 2) -> Site:
    frozen = random_frozen(
        np.random.default_rng(0),
        o=o,
        m=max(1, outputs // 2),
        n=outputs,
        fragment_channels=channels // o,
        kernel=(kernel, kernel),
        padding=(kernel // 2, kernel // 2),
    )
    return integer_site(Site("layer", frozen, (size, size)))


SITES = st.builds(
    site,
    st.sampled_from([4, 16, 64]),
    st.sampled_from([4, 16, 64]),
    st.integers(1, 40),
    st.sampled_from([1, 3]),
    st.sampled_from([1, 2, 4]),
)
SOME_SITES = st.lists(SITES, min_size=1, max_size=3).map(
    lambda sites: [replace(one, layer=f"layer{i}") for i, one in enumerate(sites)]
)
WISHES = st.builds(Preference, st.sampled_from(OBJECTIVES), st.sampled_from([(1,), (4,), (1, 4)]))


def machine(rates: IntegerRates) -> Preference:
    """A wish for the fastest plan on a machine with these rates."""
    (floats, *_) = BUILT_IN.rates
    constants = MachineConstants("planted", "1.32.0", (replace(floats, integers=rates),))
    return Preference(constants=constants)


def test_filters_that_save_multiply_adds_pay_and_a_merge_that_outweighs_them_does_not() -> None:
    assert integer_plan([site(512, 512, 28)], CPU).lowerings["layer"] != "int8_dense"
    assert integer_plan([site(64, 256, 56, kernel=1)], CPU).lowerings == {"layer": "int8_dense"}


def test_other_constants_choose_another_plan() -> None:
    place = site(256, 256, 28)
    slow_sums, quick_sums = (replace(RATES, seconds_per_sum=one) for one in (1e-6, 0.0))
    chosen = [
        integer_plan([place], CPU, machine(rates)).lowerings["layer"]
        for rates in (slow_sums, quick_sums)
    ]
    assert chosen[0] == "int8_dense" != chosen[1]


def test_time_follows_the_machine() -> None:
    place, pixels = site(64, 32, 10), 100
    taken_s = 64 * 32 * 9 * pixels / 50e9 + 32 * pixels * 1e-9 + 3 * pixels * 1e-8 + 1e-6
    rates = replace(BUILT_IN.rates[0], integers=RATES)
    assert seconds(place, "int8_dense", rates) == pytest.approx(taken_s)
    assert covered_bytes(site(64, 32, 10, kernel=1)) == 0


@settings(deadline=None, max_examples=25)
@given(SITES, st.sampled_from(sorted(INT8_LOWERINGS)), st.sampled_from(["input_size", "rates"]))
def test_more_work_and_slower_machines_take_longer(place: Site, name: str, what: str) -> None:
    rates = replace(BUILT_IN.rates[0], integers=RATES)
    once_s = seconds(place, name, rates)
    if what == "input_size":
        height, width = place.input_size
        longer_s = seconds(replace(place, input_size=(height + 3, width)), name, rates)
    else:
        slow = replace(RATES, macs_per_second=49e9, grouped_macs_per_second=39e9)
        longer_s = seconds(place, name, replace(rates, integers=slow))
    assert 0 < once_s < longer_s


@settings(deadline=None, max_examples=25)
@given(SOME_SITES, WISHES, st.sampled_from([one for one in TARGETS if one != "coreml"]))
def test_every_plan_fits_and_is_the_same_again(
    sites: list[Site], wish: Preference, target: str
) -> None:
    plan = integer_plan(sites, TARGETS[target], wish)
    plan.check(sites, TARGETS[target])
    assert set(plan.lowerings.values()) <= set(TARGETS[target].int8_lowerings)
    assert integer_plan(sites, TARGETS[target], wish) == plan
    assert Plan.from_json(plan.to_json(), source="here") == plan


@settings(deadline=None, max_examples=25)
@given(SOME_SITES)
def test_no_other_plan_needs_less_memory(sites: list[Site]) -> None:
    def needed(names: tuple[str, ...]) -> int:
        pairs = list(zip(sites, names, strict=True))
        return max(alive_bytes(*one) for one in pairs) + sum(held_bytes(*one) for one in pairs)

    found = integer_plan(sites, CPU, Preference("memory")).lowerings
    others = product(*[CPU.int8_lowerings] * len(sites))
    assert needed(tuple(found[one.layer] for one in sites)) == min(map(needed, others))


@settings(deadline=None, max_examples=25)
@given(SITES)
def test_no_other_lowering_stores_less(place: Site) -> None:
    chosen = integer_plan([place], CPU, Preference("size")).lowerings["layer"]
    stored = {name: stored_bytes(place, name) for name in CPU.int8_lowerings}
    assert stored[chosen] == min(stored.values())


@pytest.mark.parametrize("name", INT8_LOWERINGS)
def test_stored_bytes_are_those_of_the_file(name: str) -> None:
    place = site(16, 16, 12)
    model = lowered_integer_layer(place, name)
    graph = model.graph
    held = {one.name: one.const_value.nbytes for one in graph.initializers.values()}
    ends = [one for one in held if one.startswith(("input", "output"))]
    tables = sum(held.values()) - held[codes_name("layer.lego")] - sum(held[one] for one in ends)
    converting = sum(node.name.startswith(("input", "output")) for node in graph)
    assert stored_bytes(place, name) == tables + NODE_BYTES * (graph.num_nodes() - converting)


@pytest.mark.parametrize("wish", OBJECTIVES)
def test_a_layer_that_was_not_calibrated_gets_none(wish: str) -> None:
    place = replace(site(16, 16, 8), scales=None)
    with pytest.raises(UsageError, match="every lowering declines"):
        integer_plan([place], CPU, Preference(wish))


def test_a_wish_of_the_target_goes_before_the_cost_model() -> None:
    wishing = replace(CPU, lowerings=("int8_grouped", *CPU.lowerings))
    assert integer_plan([site(8, 8, 4)], wishing).lowerings == {"layer": "int8_grouped"}


@pytest.mark.parametrize("threads", [(2,), (4,), (1, 2)])
def test_maps_are_gathered_for_one_thread_alone(threads: tuple[int, ...]) -> None:
    place = site(512, 512, 28, o=4)
    alone = Preference(threads=(1,))
    assert integer_plan([place], CPU, alone).lowerings == {"layer": "int8_gathered"}
    several = Preference(threads=threads)
    assert integer_plan([place], CPU, several).lowerings == {"layer": "int8_per_fragment"}
    wishing = replace(CPU, lowerings=("int8_gathered", *CPU.lowerings))
    assert integer_plan([place], wishing, several).lowerings == {"layer": "int8_gathered"}


def test_where_nothing_is_split_no_plan_splits() -> None:
    plan = integer_plan([site(512, 512, 28)], NNAPI, Preference("latency"))
    assert plan.lowerings == {"layer": "int8_grouped"}


def test_a_layer_alone_gives_the_same_integers_in_both_forms_with_maps() -> None:
    place = site(16, 16, 9)
    x = np.random.default_rng(1).integers(0, 256, (1, 16, 9, 9)).astype(np.uint8)
    results = {name: run(lowered_integer_layer(place, name), x) for name in INT8_LOWERINGS}
    assert results["int8_grouped"].dtype == np.uint8
    assert (results["int8_grouped"] == results["int8_per_fragment"]).all()
    assert INPUT.dtype == CPU.activations

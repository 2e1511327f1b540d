"""The plan without measuring: legal for every objective, and best by its own measure."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.errors import UsageError
from legoexport.passes.cost_model import FLOAT_BYTES
from legoexport.passes.eligible import automatic
from legoexport.passes.lowerings import LOWERINGS, Site
from legoexport.passes.plan import Plan
from legoexport.passes.preference import (
    NODE_BYTES,
    Preference,
    held_bytes,
    preferred_plan,
    stored_bytes,
)
from legoexport.target import CPU, OBJECTIVES
from runtime_tests.layers import lowered, random_frozen

FEW = replace(
    CPU, lowerings=("grouped", "fragment_batch", "winograd_rows_7", "dense"), rest="refused"
)


def site(layer: str, channels: int, outputs: int, size: int, kernel: int = 3) -> Site:
    frozen = random_frozen(
        np.random.default_rng(0),
        m=max(1, outputs // 2),
        n=outputs,
        fragment_channels=channels // 2,
        kernel=(kernel, kernel),
        padding=(kernel // 2, kernel // 2),
    )
    return Site(layer, frozen, (size, size))


SITES = st.builds(
    site,
    st.just("layer"),
    st.sampled_from([2, 16, 64]),
    st.sampled_from([2, 16, 64]),
    st.integers(1, 40),
    st.sampled_from([1, 3]),
)
SOME_SITES = st.lists(SITES, min_size=1, max_size=3).map(
    lambda sites: [replace(one, layer=f"layer{i}") for i, one in enumerate(sites)]
)


@settings(deadline=None, max_examples=25)
@given(SOME_SITES, st.sampled_from(OBJECTIVES), st.sampled_from([(1,), (4,), (1, 4)]))
def test_the_plan_fits_whatever_it_saves(
    sites: list[Site], objective: str, threads: tuple[int, ...]
) -> None:
    preferred_plan(sites, CPU, Preference(objective, threads)).check(sites, CPU)


@settings(deadline=None, max_examples=25)
@given(SOME_SITES)
def test_no_other_plan_needs_less_memory(sites: list[Site]) -> None:
    def needed(plan: Plan) -> int:
        chosen = [(one, plan.lowerings[one.layer]) for one in sites]
        alive = [LOWERINGS[name].footprint(one).alive for one, name in chosen]
        widest = FLOAT_BYTES * max(alive)
        return widest + sum(held_bytes(one, name) for one, name in chosen)

    found = preferred_plan(sites, FEW, Preference("memory"))
    able = [[n for n in FEW.lowerings if LOWERINGS[n].declines(one) is None] for one in sites]
    layers = [one.layer for one in sites]
    others = [Plan(dict(zip(layers, names, strict=True))) for names in product(*able)]
    assert needed(found) == min(map(needed, others))


@settings(deadline=None, max_examples=25)
@given(SITES)
def test_no_other_lowering_stores_less(place: Site) -> None:
    chosen = preferred_plan([place], CPU, Preference("size")).lowerings["layer"]
    place = replace(place, sums="by output")
    able = [name for name in automatic(CPU) if LOWERINGS[name].declines(place) is None]
    assert stored_bytes(place, chosen) == min(stored_bytes(place, name) for name in able)


@pytest.mark.parametrize("name", LOWERINGS)
def test_stored_bytes_are_those_of_the_file(name: str) -> None:
    place = site("layer", 16, 16, 12)
    model = lowered(place.frozen, 12, 12, name)
    held = {value.name: value.const_value.nbytes for value in model.graph.initializers.values()}
    tables = sum(held.values()) - held["layer.lego"]
    assert stored_bytes(place, name) == tables + NODE_BYTES * model.graph.num_nodes()


@pytest.mark.parametrize(
    ("preference", "sums"),
    [
        (Preference("latency"), "by blocks"),
        (Preference("memory"), "by blocks"),
        (Preference("size"), "by output"),
        (Preference("latency", ort_format=True), "by output"),
    ],
    ids=str,
)
def test_a_file_that_is_to_be_small_sums_output_by_output(
    preference: Preference, sums: str
) -> None:
    place = site("layer", 16, 16, 8)
    assert preferred_plan([place], CPU, preference).sums == sums
    assert preferred_plan([], CPU, preference) == Plan({}, preference.sums)


@pytest.mark.parametrize(
    "preference", [("speed", (1,)), ("latency", ()), ("latency", (0,))], ids=str
)
def test_senseless_preferences_are_refused(preference: tuple[str, tuple[int, ...]]) -> None:
    with pytest.raises(UsageError):
        Preference(*preference)

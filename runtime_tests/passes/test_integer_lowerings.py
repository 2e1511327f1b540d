"""Every lowering in integers gives the integers of an independent implementation, but for ties."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.lego.frozen import FrozenLego
from legoexport.parity.integer.check import compare
from legoexport.parity.integer.lego_layer import ASSEMBLED, IntegerLego
from legoexport.passes.constants import known_array
from legoexport.passes.integer_plan import integer_plan
from legoexport.passes.lowerings import INT8_LOWERINGS, Site
from legoexport.passes.lowerings.int8.gathered import LARGEST_BIAS_CODE
from legoexport.passes.one_integer_layer import (
    INPUT,
    OUTPUT,
    integer_site,
    lowered_integer_layer,
)
from legoexport.passes.plan import why_not
from legoexport.target import CPU, CPU_VNNI
from runtime_tests.layers import LayerCase, layer_cases, random_frozen, run

SEEDS = st.integers(0, 2**32 - 1)


def expected_of(site: Site, name: str) -> IntegerLego:
    assert site.scales is not None
    maps = None if name == ASSEMBLED else site.scales.maps
    return IntegerLego(site.frozen, INPUT, maps, site.scales.largest_code)


@pytest.mark.parametrize("name", INT8_LOWERINGS)
@settings(max_examples=15, deadline=None)
@given(case=layer_cases(), seed=SEEDS)
def test_integers_are_those_of_an_independent_implementation(
    name: str, case: LayerCase, seed: int
) -> None:
    site = integer_site(Site("layer", case.frozen, case.x.shape[2:]))
    x = np.random.default_rng(seed).integers(0, 256, case.x.shape).astype(np.uint8)
    expected = expected_of(site, name).expected(x, OUTPUT)
    found = compare("layer", "lego", expected, run(lowered_integer_layer(site, name), x))
    assert found.passed, found
    assert found.largest_step_difference <= 1


def biased(bias: float) -> Site:
    frozen: FrozenLego = random_frozen(np.random.default_rng(2), o=2, n=8, padding=(1, 1))
    tables = replace(frozen, bias=np.full(8, bias, np.float32))
    return integer_site(Site("layer", tables, (9, 9)))


def test_a_bias_that_floats_cannot_add_exactly_is_left_to_the_other_forms() -> None:
    huge = biased(3e5)
    reason = why_not("int8_gathered", huge, CPU)
    assert reason is not None
    assert str(LARGEST_BIAS_CODE) in reason
    assert integer_plan([huge], CPU).lowerings["layer"] != "int8_gathered"
    assert why_not("int8_gathered", biased(3.0), CPU) is None


@pytest.mark.parametrize(("name", "groups"), [("int8_per_fragment", 1), ("int8_grouped", 2)])
@pytest.mark.parametrize(("used", "maps"), [(1, 16), (15, 16), (16, 16), (17, 32), (31, 32)])
def test_every_fragment_gives_whole_blocks_of_16_maps(
    name: str, groups: int, used: int, maps: int
) -> None:
    """The bank holds no more filters than are used: the last of them fills the block up."""
    frozen = random_frozen(np.random.default_rng(0), o=2, m=used, n=64, padding=(1, 1))
    index = np.stack([np.arange(64) % used, np.arange(64)[::-1] % used])
    site = integer_site(Site("layer", replace(frozen, index=index), (6, 6)))
    graph = lowered_integer_layer(site, name).graph
    rows = {
        value.name: len(known_array(value))
        for value in graph.initializers.values()
        if str(value.name).startswith("layer/weights/codes_rows")
    }
    assert set(rows.values()) == {groups * maps}, rows


def test_a_layer_without_scales_is_declined() -> None:
    site = replace(biased(0.0), scales=None)
    assert "not calibrated" in str(why_not("int8_gathered", site, CPU))


def test_where_integers_multiply_fast_nothing_is_gathered() -> None:
    assert "cpu-vnni takes" in str(why_not("int8_gathered", biased(0.0), CPU_VNNI))

"""The cost model: it knows the lowerings, and orders clear cases as measurements do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from legoexport.passes.cost_model import CACHE_BYTES, FLOAT_BYTES, seconds
from legoexport.passes.lowerings import Site, find_lowering
from legoexport.passes.machine_constants import BUILT_IN, MachineConstants, Rates
from legoexport.passes.preference import Preference, preferred_plan
from legoexport.target import CPU
from runtime_tests.layers import random_frozen


def site(channels: int, outputs: int, size: int, kernel: int = 3) -> Site:
    frozen = random_frozen(
        np.random.default_rng(0),
        m=outputs // 2,
        n=outputs,
        fragment_channels=channels // 2,
        kernel=(kernel, kernel),
        padding=(kernel // 2, kernel // 2),
    )
    return Site("layer", frozen, (size, size))


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (site(8, 8, 8), "grouped"),
        (site(64, 64, 224), "grouped_dense_merge"),
        (site(256, 256, 56), "winograd_rows_7"),
        (site(512, 512, 14), "winograd_rows_7_batch"),
        (site(64, 256, 56, kernel=1), "dense"),
        (site(1024, 512, 14, kernel=1), "grouped"),
    ],
    ids=["tiny", "wide", "middle", "deep", "narrow 1x1", "deep 1x1"],
)
def test_clear_cases(place: Site, expected: str) -> None:
    assert preferred_plan([place], CPU).lowerings == {"layer": expected}


def test_time_follows_the_machine() -> None:
    place, rate = site(256, 256, 56), 1e9
    footprint = find_lowering("winograd_rows_7").footprint(place)
    spilled = FLOAT_BYTES * footprint.alive - CACHE_BYTES
    assert spilled > 0
    multiplying, moving = footprint.compute_bound_macs / 1e9, FLOAT_BYTES * footprint.floats / 2e9
    starting, spilling = footprint.nodes * 1e-3, spilled * 1e-6
    rates = Rates(1, rate, 2e9, 1e-9, seconds_per_node=1e-3, seconds_per_spilled_byte=1e-6)
    expected = multiplying + moving + starting + spilling
    assert seconds(place, "winograd_rows_7", rates) == pytest.approx(expected)


def test_what_the_caches_hold_does_not_spill() -> None:
    place, (rates, *_) = site(64, 64, 28), BUILT_IN.rates
    dear = replace(rates, seconds_per_spilled_byte=1.0)
    assert seconds(place, "grouped", dear) == seconds(place, "grouped", rates)


def test_tiles_move_at_a_rate_of_their_own() -> None:
    place, (rates, *_) = site(64, 64, 28), BUILT_IN.rates
    slow = replace(rates, tile_bytes_per_second=1.0)
    tile_bytes = FLOAT_BYTES * find_lowering("winograd_tiles_4").footprint(place).tile_floats
    usual = seconds(place, "winograd_tiles_4", rates)
    without = usual - tile_bytes / rates.tile_bytes_per_second
    assert seconds(place, "winograd_tiles_4", slow) == pytest.approx(without + tile_bytes)
    assert seconds(place, "winograd_rows_7", slow) == seconds(place, "winograd_rows_7", rates)


def test_other_constants_choose_another_plan() -> None:
    place = site(256, 256, 56)
    slow_to_move = Rates(1, 1e12, 1e9, 1e9, seconds_per_node=0, seconds_per_spilled_byte=0)
    wish = Preference(constants=MachineConstants("planted", "1.32.0", (slow_to_move,)))
    assert preferred_plan([place], CPU).lowerings == {"layer": "winograd_rows_7"}
    assert preferred_plan([place], CPU, wish).lowerings == {"layer": "grouped_dense_merge"}

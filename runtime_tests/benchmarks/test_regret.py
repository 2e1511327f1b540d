"""How a choice is held against what was measured, and what a file of times becomes."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.layer_cases import LAYERS, LayerCase, cases
from benchmarks.layer_choices import chosen, fit, read_file, read_times
from benchmarks.regret import regret, summary
from benchmarks.store import RESULTS
from legoexport.passes.cost_model import seconds
from legoexport.passes.lowerings import INT8_LOWERINGS, LOWERINGS, find_lowering
from legoexport.passes.machine_constants import BUILT_IN, integer_rates
from legoexport.passes.preference import WORTH_SECONDS

# Of the digits that fitted constants keep.
TOLERANCE = 1e-3
FORMS = ("one", "two", "three")
ROUNDS = st.integers(2, 6).flatmap(
    lambda count: st.fixed_dictionaries(
        {form: st.lists(st.floats(0.1, 10), min_size=count, max_size=count) for form in FORMS}
    )
)
SMALL = [LayerCase(32, 32, 14, 3), LayerCase(64, 32, 7, 1), LayerCase(32, 64, 56, 3, 4, 0.25)]
SMALL += [LayerCase(64, 64, 28, 3), LayerCase(16, 16, 112, 1), LayerCase(128, 16, 14, 3)]


@given(ROUNDS, st.sampled_from(FORMS))
def test_no_choice_beats_the_best_and_the_best_of_half_has_a_floor(
    rounds: dict[str, list[float]], choice: str
) -> None:
    found = regret(rounds, choice, min)
    assert found.plain >= 1
    assert found.floor is not None
    assert found.fair is not None
    assert found.floor >= 1
    best = min(rounds, key=lambda form: min(rounds[form]))
    assert regret(rounds, best, min).plain == 1


def test_luck_is_told_apart() -> None:
    """The second form is lucky once, in the first round; the first is the choice."""
    rounds = {"one": [1.0, 1.0], "two": [0.5, 2.0]}
    found = regret(rounds, "one", min)
    assert found.plain == 2
    # Half chooses the lucky one, which takes 2 in the other half; the other half chooses "one".
    assert found.fair == pytest.approx((1 / 2 + 1 / 1) / 2)
    assert found.floor == pytest.approx((2 / 1 + 1 / 0.5) / 2)


def test_one_round_tells_nothing_of_luck() -> None:
    found = regret({"one": [1.0], "two": [2.0]}, "two", min)
    assert (found.plain, found.fair, found.floor) == (2.0, None, None)
    assert "luck" in summary([found])


def rows(count: int = 2) -> list[dict[str, Any]]:
    """What a machine with the built-in rates takes for every form of small layers."""
    (rates, *_) = BUILT_IN.rates
    return [
        {**asdict(case), "form": form, "threads": 1, "round": number, "processors": [0]}
        | {"latency_ms": 1e3 * seconds(site, form, rates), "least_ms": 0.0, "runs_count": 5}
        for case in SMALL
        for form, site in case.forms().items()
        for number in range(count)
    ]


def test_times_without_noise_give_the_constants_back_and_a_good_choice() -> None:
    timed = read_times(rows(), "latency_ms")
    assert len(timed) == 2 * len(SMALL)
    fitted = fit(timed, {"processor": "planted", "onnxruntime": "1.32.0"}, np.median)
    found, built_in = integer_rates(fitted.rates[0]), integer_rates(BUILT_IN.rates[0])
    assert found.macs_per_second == pytest.approx(built_in.macs_per_second, rel=1e-3)
    assert fitted.rates[0].macs_per_second == pytest.approx(90e9, rel=1e-3)
    for one in timed:
        taken_s = {form: 1e-3 * rounds_ms[0] for form, rounds_ms in one.rounds.items()}
        loss_s = taken_s[chosen(one, fitted)] - min(taken_s.values())
        assert loss_s <= WORTH_SECONDS * (1 + TOLERANCE)


@pytest.mark.parametrize(
    ("name", "precision", "banks_count", "most"),
    [
        ("layer_times.json", "fp32", 3, 1.05),
        ("layer_times.json", "int8", 3, 1.02),
        ("layer_times_vnni.json.gz", "int8", 2, 1.02),
        ("layer_times_avx2.json.gz", "int8", 3, 1.02),
        ("layer_times_avx2_two_threads.json.gz", "int8", 2, 1.06),
    ],
)
def test_the_built_in_constants_choose_well_where_it_was_measured(
    name: str, precision: str, banks_count: int, most: float
) -> None:
    """Limits a little above the means that were found: 1.036, 1.004, 1.005, 1.012 and 1.048."""
    times = read_file(RESULTS / name)["times"]
    timed = [one for one in read_times(times, "least_ms") if one.precision == precision]
    assert len(timed) == banks_count * len(LAYERS)
    found = [regret(one.rounds, chosen(one, BUILT_IN), min).plain for one in timed]
    assert np.mean(found) < most


def test_a_round_that_was_cut_short_is_left_out() -> None:
    (first, *others) = read_times(rows()[:-1], "latency_ms")
    assert {len(taken) for taken in first.rounds.values()} == {2}
    assert {len(taken) for taken in others[-1].rounds.values()} == {1}


def test_layers_come_in_every_form_the_largest_first() -> None:
    found = cases([(2, 0.5), (4, 0.25)])
    assert len(found) == 2 * len(LAYERS)
    macs = [find_lowering("dense").footprint(one.site).macs for one in found]
    assert macs == sorted(macs, reverse=True)
    assert set(replace(SMALL[0], size=8).forms()) <= {*LOWERINGS, *INT8_LOWERINGS}

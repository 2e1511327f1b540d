"""Percentiles and ratios, on any latencies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legoexport.measure.statistics import RatioInterval, ratio_of_medians, summarize

LATENCIES_MS = st.floats(1e-3, 1e4)
PAIRS_MS = st.lists(st.tuples(LATENCIES_MS, LATENCIES_MS), min_size=1, max_size=40)


def ratio_of(pairs_ms: list[tuple[float, float]]) -> RatioInterval:
    return ratio_of_medians([[pair_ms] for pair_ms in pairs_ms])


def numbers(interval: RatioInterval) -> tuple[float, float, float]:
    return interval.low_ratio, interval.estimate_ratio, interval.high_ratio


@given(st.lists(LATENCIES_MS, min_size=1, max_size=200))
def test_percentiles_are_in_order_and_within_the_latencies(latencies_ms: list[float]) -> None:
    found = summarize(latencies_ms)
    ladder = [found.min_ms, found.p50_ms, found.p90_ms, found.p95_ms, found.p99_ms]
    assert ladder == sorted(ladder)
    assert found.min_ms == min(latencies_ms)
    assert found.p99_ms <= max(latencies_ms)
    assert found.mean_ms == pytest.approx(sum(latencies_ms) / len(latencies_ms))
    assert found.std_ms >= 0
    assert found.runs_count == len(latencies_ms)


def test_percentiles_of_a_known_list() -> None:
    found = summarize([float(value) for value in range(101)])
    assert (found.p50_ms, found.p90_ms, found.p95_ms, found.p99_ms) == (50, 90, 95, 99)


@given(PAIRS_MS)
def test_a_ratio_lies_in_its_interval_and_within_the_rounds(
    pairs_ms: list[tuple[float, float]],
) -> None:
    low, estimate, high = numbers(ratio_of(pairs_ms))
    ratios = [first / second for first, second in pairs_ms]
    slack = 1 + 1e-9
    assert min(ratios) <= low * slack
    assert low <= estimate * slack
    assert estimate <= high * slack
    assert high <= max(ratios) * slack


@given(PAIRS_MS)
def test_swapping_the_models_inverts_the_ratio(pairs_ms: list[tuple[float, float]]) -> None:
    swapped = ratio_of([(second, first) for first, second in pairs_ms])
    inverse = tuple(1 / ratio for ratio in reversed(numbers(swapped)))
    assert numbers(ratio_of(pairs_ms)) == pytest.approx(inverse)


@given(PAIRS_MS, st.floats(0.01, 100))
def test_a_machine_that_slows_both_changes_nothing(
    pairs_ms: list[tuple[float, float]], slowdown_ratio: float
) -> None:
    slowed = [(first * slowdown_ratio, second * slowdown_ratio) for first, second in pairs_ms]
    assert numbers(ratio_of(slowed)) == pytest.approx(numbers(ratio_of(pairs_ms)))


@given(PAIRS_MS)
def test_the_same_latencies_give_the_same_interval(pairs_ms: list[tuple[float, float]]) -> None:
    assert ratio_of(pairs_ms) == ratio_of(pairs_ms)


def test_a_model_beside_itself_shows_no_difference() -> None:
    assert ratio_of([(2.0, 2.0)] * 5).holds_one


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        first, second = 1.5 * rng.lognormal(0, 0.1, 25), rng.lognormal(0, 0.1, 25)
        low, _, high = numbers(ratio_of(list(zip(first, second, strict=True))))
        covered += low <= 1.5 <= high
    # A percentile bootstrap of a median over 25 rounds: 95 % by name, a little off in fact.
    assert 0.88 <= covered / 200 <= 1.0


RESTARTS_MS = st.lists(PAIRS_MS, min_size=1, max_size=6)


@given(RESTARTS_MS, st.integers(2, 4))
def test_more_rounds_of_the_same_restarts_are_no_new_evidence(
    restarts_ms: list[list[tuple[float, float]]], times: int
) -> None:
    repeated = [pairs_ms * times for pairs_ms in restarts_ms]
    assert numbers(ratio_of_medians(repeated)) == pytest.approx(
        numbers(ratio_of_medians(restarts_ms))
    )


def test_processes_that_differ_lastingly_are_not_taken_for_models_that_do() -> None:
    rng = np.random.default_rng(0)
    told_apart = 0
    for _ in range(200):
        offsets = rng.lognormal(0, 0.02, (5, 1))
        firsts = offsets * rng.lognormal(0, 0.005, (5, 5))
        restarts_ms = [[(first, 1.0) for first in restart] for restart in firsts]
        told_apart += not ratio_of_medians(restarts_ms).holds_one
    # Found here: 5 %, where 25 rounds of a single start are told apart 84 % of the time.
    assert told_apart / 200 <= 0.12

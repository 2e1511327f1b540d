"""Calibration: planted rates come back, noise is refused, and the cache goes by processor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.errors import CheckFailed, UsageError
from legoexport.host.machine import describe
from legoexport.measure.calibration.fit import fit_integer_rates, fit_rates
from legoexport.measure.calibration.kept import (
    constants_for_this_processor,
    describe_constants,
    keep,
    kept_file,
    read_constants,
)
from legoexport.measure.calibration.run import check_agreement, rates_of
from legoexport.measure.calibration.samples import SAMPLES
from legoexport.passes.cost_model import seconds
from legoexport.passes.machine_constants import BUILT_IN, IntegerRates, MachineConstants, Rates
from legoexport.passes.plan import why_not
from legoexport.target import CPU

# Rates of phones, servers, and anything between.
PLANTED = st.builds(
    Rates,
    st.sampled_from([1, 2, 8]),
    st.floats(1e9, 1e12),
    st.floats(1e9, 1e12),
    st.floats(1e9, 1e12),
    st.sampled_from([0.0, 1e-7, 1e-6, 1e-5]),
    st.sampled_from([0.0, 1e-11, 1e-10, 1e-9]),
)
INTEGERS = st.builds(
    IntegerRates,
    st.floats(1e9, 1e12),
    st.floats(1e9, 1e12),
    st.sampled_from([0.0, 1e-10, 1e-9]),
    st.sampled_from([0.0, 1e-9, 1e-8]),
    st.sampled_from([0.0, 1e-7, 1e-5]),
)
DIGITS_KEPT = 1e-3
HERE = describe()


def times_s(rates: Rates) -> list[float]:
    return [seconds(sample.site, sample.lowering, rates) for sample in SAMPLES]


@settings(deadline=None, max_examples=40)
@given(PLANTED)
def test_planted_rates_come_back(planted: Rates) -> None:
    found = rates_of(planted.threads, [times_s(planted)])
    assert found.threads == planted.threads
    assert found.macs_per_second == pytest.approx(planted.macs_per_second, rel=DIGITS_KEPT)
    assert found.bytes_per_second == pytest.approx(planted.bytes_per_second, rel=DIGITS_KEPT)
    found_of_tiles = found.tile_bytes_per_second
    assert found_of_tiles == pytest.approx(planted.tile_bytes_per_second, rel=DIGITS_KEPT)
    # What is next to nothing beside the times of all samples is only known to be so.
    for sample, taken_s in zip(SAMPLES, times_s(planted), strict=True):
        assert seconds(sample.site, sample.lowering, found) == pytest.approx(
            taken_s, rel=DIGITS_KEPT
        )


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_best_of_noisy_rounds_counts(seed: int) -> None:
    """Other work only adds: with one undisturbed round a layer, the rest changes nothing."""
    rng, exact = np.random.default_rng(seed), times_s(BUILT_IN.rates[0])
    rounds = rng.uniform(1, 5, (4, len(SAMPLES)))
    rounds[rng.integers(0, 4, len(SAMPLES)), np.arange(len(SAMPLES))] = 1
    disturbed: Sequence[Sequence[float]] = (rounds * exact).tolist()
    assert rates_of(1, disturbed) == rates_of(1, [exact])


def test_times_that_tell_nothing_of_moving_are_refused() -> None:
    needed = [sample.amounts for sample in SAMPLES if not sample.in_integers]
    with pytest.raises(CheckFailed, match="no rate"):
        fit_rates(1, needed, [1e-9 * one.macs for one in needed])


@settings(deadline=None, max_examples=20)
@given(INTEGERS)
def test_planted_rates_of_integers_come_back(planted: IntegerRates) -> None:
    rates = replace(BUILT_IN.rates[0], integers=planted)
    found = rates_of(1, [times_s(rates)])
    assert found.integers is not None
    for name in ("macs_per_second", "grouped_macs_per_second"):
        wanted = getattr(planted, name)
        assert getattr(found.integers, name) == pytest.approx(wanted, rel=DIGITS_KEPT)
    for sample, taken_s in zip(SAMPLES, times_s(rates), strict=True):
        again_s = seconds(sample.site, sample.lowering, found)
        assert again_s == pytest.approx(taken_s, rel=DIGITS_KEPT)


def test_times_without_multiplying_integers_are_refused() -> None:
    work = [sample.work for sample in SAMPLES if sample.in_integers]
    with pytest.raises(CheckFailed, match="multiplying integers"):
        fit_integer_rates(work, [1e-9 * one.sums for one in work])


def test_every_sample_is_a_lowering_of_its_layer() -> None:
    assert {sample.name: why_not(sample.lowering, sample.site, CPU) for sample in SAMPLES} == {
        sample.name: None for sample in SAMPLES
    }


def test_rounds_that_do_not_agree_are_refused() -> None:
    steady = [[1.0] * len(SAMPLES), [1.01] * len(SAMPLES), [3.0] * len(SAMPLES)]
    assert check_agreement(steady) == pytest.approx(1.01)
    disturbed = [list(taken) for taken in steady]
    disturbed[1][2] = 1.3
    with pytest.raises(CheckFailed, match=SAMPLES[2].name) as caught:
        check_agreement(disturbed)
    assert "1.30 times" in str(caught.value)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


OURS = replace(BUILT_IN, processor=HERE.cpu_model, onnxruntime=HERE.onnxruntime)


def test_nothing_is_kept_at_first(cache: Path) -> None:
    assert constants_for_this_processor() is None
    assert "legoexport calibrate" in describe_constants()


def test_what_is_kept_is_found_again(cache: Path) -> None:
    path = keep(OURS)
    assert path.is_relative_to(cache)
    assert read_constants(path) == OURS == constants_for_this_processor()
    assert OURS.sha256[:12] in describe_constants()


@pytest.mark.parametrize(
    "other",
    [replace(OURS, processor="another"), replace(OURS, onnxruntime="1.16.0")],
    ids=["processor", "onnxruntime"],
)
def test_constants_of_another_machine_are_left_alone(cache: Path, other: MachineConstants) -> None:
    kept_file(HERE.cpu_model).parent.mkdir(parents=True)
    kept_file(HERE.cpu_model).write_text(other.to_json())
    assert constants_for_this_processor() is None


def test_damage_in_the_cache_is_named(cache: Path) -> None:
    path = keep(OURS)
    path.write_text(path.read_text()[:-9])
    with pytest.raises(UsageError, match=path.name):
        constants_for_this_processor()
    assert "damaged" in describe_constants()
    assert str(path) not in describe_constants()


def test_files_are_named_after_processors(cache: Path) -> None:
    names = {
        kept_file(name).name for name in ("Intel(R) Xeon(R) CPU @ 2.20GHz", "Apple M1", "/ ..")
    }
    assert names == {"intel-r-xeon-r-cpu-2-20ghz.json", "apple-m1.json", "unknown.json"}

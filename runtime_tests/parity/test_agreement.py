"""The rule: what passes, what fails, and that units do not matter."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from legoexport.errors import CheckFailed, UsageError
from legoexport.parity.agreement import FACTOR, FLOOR, Agreement
from legoexport.parity.judge import combine, judge

Array = NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)
IMAGES, CLASSES = 6, 7


def scores(seed: int) -> Array:
    return np.random.default_rng(seed).standard_normal((IMAGES, CLASSES))


def judged(truth: Array, actual: Array, growth: float = 1.0) -> Agreement:
    """Judge with a reference that is float32's rounding of the truth."""
    return judge(truth, truth.astype(np.float32), actual.astype(np.float32), growth=growth)


@given(seed=seeds)
def test_a_perfect_copy_passes(seed: int) -> None:
    agreement = judged(scores(seed), scores(seed))
    assert agreement.passed
    assert agreement.top1_agreement_ratio == 1
    assert agreement.max_abs_error == agreement.reference_max_abs_error


@given(seed=seeds, excess=st.floats(1.01, 1e6), position=st.integers(0, IMAGES * CLASSES - 1))
def test_one_value_beyond_the_limit_fails(seed: int, excess: float, position: int) -> None:
    truth = scores(seed)
    limit = judged(truth, truth).limit
    # The perturbed value is rounded to float32, which takes up to 6e-8 of it away.
    actual = truth.copy()
    actual.flat[position] += limit * excess + 1e-6 * (1 + limit * excess)
    agreement = judged(truth, actual)
    assert agreement.max_abs_error > limit
    assert not agreement.passed


@given(seed=seeds, share=st.floats(-0.9, 0.9))
def test_errors_within_the_limit_pass(seed: int, share: float) -> None:
    truth = scores(seed)
    # A shift of all scores keeps every decision; rounding takes less than a tenth of the limit.
    assert judged(truth, truth + share * judged(truth, truth).limit).passed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_fails(value: float) -> None:
    actual = scores(0)
    actual[3, 2] = value
    agreement = judged(scores(0), actual)
    assert not agreement.passed
    assert agreement.to_json()["max_abs_error"] is None
    json.dumps(agreement.to_json(), allow_nan=False)


@given(seed=seeds, exponent=st.integers(-20, 20), error=st.floats(0, 1e-5))
def test_the_verdict_does_not_depend_on_the_unit(seed: int, exponent: int, error: float) -> None:
    truth, unit = scores(seed), 2.0**exponent
    here, there = judged(truth, truth + error), judged(unit * truth, unit * (truth + error))
    assert here.passed == there.passed
    assert np.isclose(here.relative_error, there.relative_error, rtol=1e-12)
    assert np.isclose(unit * here.limit, there.limit, rtol=1e-12)


def test_the_limit_is_a_multiple_of_what_float32_loses_with_a_floor() -> None:
    truth = scores(1)
    spread = float(np.ptp(truth))
    rough = judge(truth, (truth + 0.01).astype(np.float32), truth.astype(np.float32), growth=1.0)
    assert rough.limit == pytest.approx(FACTOR * 0.01, rel=1e-4)
    exact = truth.astype(np.float32)
    fine = judge(exact.astype(np.float64), exact, exact, growth=1.0)
    assert fine.limit == pytest.approx(FLOOR * spread, rel=1e-6)
    assert judged(truth, truth, growth=8.0).limit == pytest.approx(8 * judged(truth, truth).limit)


def test_only_a_tie_excuses_another_decision() -> None:
    truth = np.array([[1.0, 0.0, -1.0]])
    limit = judged(truth, truth).limit
    tie = np.array([[1.0, 1.0 - limit / 4, -1.0]])
    swapped = np.array([[tie[0, 1], 1.0 + limit / 4, -1.0]])
    agreement = judged(tie, swapped)
    assert agreement.top1_agreement_count == 0
    assert agreement.top1_errors_count == 0
    assert agreement.passed
    # Each score moves by less than the limit, but together they overturn a clear decision.
    clear = np.array([[1.0, 1.0 - 1.5 * limit, -1.0]])
    overturned = clear + np.array([[-0.8 * limit, 0.8 * limit, 0.0]])
    agreement = judged(clear, overturned)
    assert agreement.max_abs_error < agreement.limit
    assert agreement.top1_errors_count == 1
    assert not agreement.passed


def test_accuracy_is_counted_on_both_sides() -> None:
    truth = np.eye(4)
    wrong = truth[[0, 1, 3, 2]]
    labels = np.arange(4)
    same = judge(truth, truth.astype(np.float32), truth.astype(np.float32), growth=1, labels=labels)
    assert same.accuracy is not None
    assert (same.accuracy.pytorch_correct_count, same.accuracy.onnx_correct_count) == (4, 4)
    other = judge(
        truth, truth.astype(np.float32), wrong.astype(np.float32), growth=1, labels=labels
    )
    assert other.accuracy is not None
    assert (other.accuracy.onnx_correct_count, other.accuracy.unexplained_count) == (2, 2)
    assert not other.passed
    assert "ONNX Runtime 2 correct" in str(other)


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_a_label_that_is_no_class_is_refused(label: int) -> None:
    truth, labels = scores(0), np.array([0] * (IMAGES - 1) + [label])
    with pytest.raises(UsageError, match=f"(?s)none of the network's classes.*received: {label}"):
        judge(truth, truth.astype(np.float32), truth.astype(np.float32), growth=1, labels=labels)


def test_several_sets_pass_only_together() -> None:
    truth = scores(2)
    good, bad = judged(truth, truth), judged(truth, truth + 1)
    assert combine({"a": good, "b": good}).passed
    both = combine({"a": good, "b": bad})
    assert not both.passed
    assert both.images_count == 2 * IMAGES
    assert both.max_abs_error == bad.max_abs_error


def test_a_network_that_diverges_is_not_judged() -> None:
    truth = np.full((2, 2), np.nan)
    with pytest.raises(CheckFailed, match="NaN"):
        judged(truth, truth)


def test_outputs_without_classes_or_range_are_judged_by_value_alone() -> None:
    truth = np.full((4, 1), 3.0)
    assert judged(truth, truth).passed
    assert judged(truth, truth).top1_count == 0
    assert not judged(truth, truth + 1).passed
    zeros = np.zeros((4, 2, 3, 3))
    assert judged(zeros, zeros).snr_db == float("inf")
    assert not judged(zeros, zeros + 1e-3).passed

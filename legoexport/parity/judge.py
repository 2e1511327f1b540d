"""Judge: apply the rule of ``agreement`` to arrays of outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import CheckFailed, UsageError
from legoexport.parity.agreement import FACTOR, FLOOR, Accuracy, Agreement

CLASS_AXIS = 1


def judge(
    float64: NDArray[np.float64],
    float32: NDArray[np.float32],
    actual: NDArray[np.float32],
    *,
    growth: float,
    labels: NDArray[np.int64] | None = None,
    whole: tuple[NDArray[np.float64], NDArray[np.float32]] | None = None,
) -> Agreement:
    """Compare ONNX outputs with PyTorch's.

    Args:
        float64: ``(N, ...)``, PyTorch in float64.
        float32: The same in float32.
        actual: The same from the ONNX model.
        growth: The largest ``rounding_growth`` among the lowerings of the model.
        labels: ``(N,)`` class of each image, for outputs of shape ``(N, classes)``.
        whole: PyTorch in float64 and in float32, of all that the outputs are a part of; the limit
            follows from these. None where the outputs are all.

    Raises:
        CheckFailed: Outputs of different shapes, or PyTorch itself gives NaN or infinite values.
        UsageError: A label is none of the classes.
    """
    if not float64.shape == float32.shape == actual.shape:
        raise CheckFailed("output shapes differ", received=actual.shape, legal=float64.shape)
    if not (np.isfinite(float64).all() and np.isfinite(float32).all()):
        raise CheckFailed(
            "the network gives NaN or infinite outputs in PyTorch, so there is nothing to equal",
            next_step="train again from a checkpoint before the divergence",
        )
    reference_error, limit = reference_limit(*(whole or (float64, float32)), growth)
    agreement = measure(float64, actual, limit=limit, reference_max_abs_error=reference_error)
    if labels is None:
        return agreement
    check_labels(labels, float64.shape[CLASS_AXIS])
    return replace(agreement, accuracy=_accuracy(float64, float32, actual, labels, limit))


def check_labels(labels: NDArray[np.int64], classes_count: int) -> None:
    """Hold that labels are classes: others would silently count as wrong answers.

    Raises:
        UsageError: One is none of them.
    """
    others = labels[(labels < 0) | (labels >= classes_count)]
    if others.size:
        raise UsageError(
            "a label is none of the network's classes",
            received=int(others[0]),
            legal=f"0 to {classes_count - 1}, in the order of the scores",
            next_step="count the classes from 0, or leave the labels out",
        )


def reference_limit(
    float64: NDArray[np.float64], float32: NDArray[np.float32], growth: float
) -> tuple[float, float]:
    """Return PyTorch float32's own error, and the largest error of a model that passes.

    Args:
        float64: ``(N, ...)``, PyTorch in float64.
        float32: The same in float32.
        growth: The ``rounding_growth`` of the model.
    """
    reference_error = float(np.abs(float32 - float64).max())
    return reference_error, growth * max(FACTOR * reference_error, FLOOR * _range(float64))


def measure(
    truth: NDArray[Any],
    actual: NDArray[np.float32],
    *,
    limit: float,
    reference_max_abs_error: float,
) -> Agreement:
    """Compare ONNX outputs with the truth where the limit is already known.

    Args:
        truth: ``(N, ...)``, from PyTorch in float64.
        actual: The same from the ONNX model.
        limit: The largest error that passes.
        reference_max_abs_error: PyTorch float32's own error.
    """
    decisions, equal, wrong = _top1(truth, actual, limit)
    finite = bool(np.isfinite(actual).all())
    return Agreement(
        images_count=len(actual),
        max_abs_error=float(np.abs(actual - truth).max()) if finite else float("inf"),
        limit=limit,
        output_range=_range(truth),
        reference_max_abs_error=reference_max_abs_error,
        snr_db=snr_db(truth, actual - truth) if finite else float("-inf"),
        top1_count=decisions,
        top1_agreement_count=equal,
        top1_errors_count=wrong,
    )


def measure_freely(truth: NDArray[Any], actual: NDArray[np.float32]) -> Agreement:
    """Measure the outputs of a file that no limit binds, as one that computes in int8.

    Raises:
        UsageError: They have another shape than PyTorch's.
        CheckFailed: They hold NaN or infinite values.
    """
    if truth.shape != actual.shape:
        raise UsageError(
            "the model gives outputs of another shape than the network",
            received=actual.shape,
            legal=truth.shape,
        )
    if not np.isfinite(actual).all():
        raise CheckFailed("the model gives NaN or infinite outputs", legal="finite numbers")
    return measure(truth, actual, limit=float("inf"), reference_max_abs_error=0.0)


def combine(by_set: Mapping[str, Agreement]) -> Agreement:
    """Return one agreement that passes exactly if those of all sets do."""
    agreements = list(by_set.values())
    worst = max(agreements, key=lambda agreement: (not agreement.passed, agreement.limit_ratio))
    first_output = [one for one in agreements if one.output == agreements[0].output]
    accuracies = [agreement.accuracy for agreement in agreements if agreement.accuracy]
    return Agreement(
        images_count=sum(agreement.images_count for agreement in first_output),
        max_abs_error=worst.max_abs_error,
        limit=worst.limit,
        output_range=worst.output_range,
        reference_max_abs_error=worst.reference_max_abs_error,
        snr_db=min(agreement.snr_db for agreement in agreements),
        top1_count=sum(agreement.top1_count for agreement in agreements),
        top1_agreement_count=sum(agreement.top1_agreement_count for agreement in agreements),
        top1_errors_count=sum(agreement.top1_errors_count for agreement in agreements),
        accuracy=accuracies[0] if accuracies else None,
        output=worst.output,
        unsettled_count=sum(agreement.unsettled_count for agreement in agreements),
        moved_count=sum(agreement.moved_count for agreement in agreements),
        moved_excess_count=sum(agreement.moved_excess_count for agreement in agreements),
    )


def _range(reference: NDArray[Any]) -> float:
    """Range of the outputs, or their magnitude if all are equal."""
    return float(np.ptp(reference)) or float(np.abs(reference).max()) or 1.0


def snr_db(signal: NDArray[Any], noise: NDArray[Any]) -> float:
    """Return the power of ``signal`` over that of ``noise`` in dB; infinite without noise."""
    signal_power, noise_power = float(np.square(signal).sum()), float(np.square(noise).sum())
    if noise_power == 0:
        return float("inf")
    return float(10 * np.log10(signal_power / noise_power)) if signal_power else float("-inf")


def _top1(reference: NDArray[Any], actual: NDArray[Any], limit: float) -> tuple[int, int, int]:
    """Count decisions, those that are equal, and those that no tie explains."""
    if reference.ndim <= CLASS_AXIS or reference.shape[CLASS_AXIS] == 1:
        return 0, 0, 0
    best = np.expand_dims(reference.argmax(CLASS_AXIS), CLASS_AXIS)
    chosen = np.expand_dims(actual.argmax(CLASS_AXIS), CLASS_AXIS)
    lead = np.take_along_axis(reference, best, CLASS_AXIS)
    margin = lead - np.take_along_axis(reference, chosen, CLASS_AXIS)
    return best.size, int((best == chosen).sum()), int((margin > limit).sum())


def _accuracy(
    float64: NDArray[np.float64],
    float32: NDArray[np.float32],
    actual: NDArray[np.float32],
    labels: NDArray[np.int64],
    limit: float,
) -> Accuracy:
    pytorch, onnx = (scores.argmax(CLASS_AXIS) for scores in (float32, actual))
    images = np.arange(len(labels))
    margin = np.abs(float64[images, pytorch] - float64[images, onnx])
    one_sided = (pytorch == labels) != (onnx == labels)
    return Accuracy(
        images_count=len(labels),
        pytorch_correct_count=int((pytorch == labels).sum()),
        onnx_correct_count=int((onnx == labels).sum()),
        unexplained_count=int((one_sided & (margin > limit)).sum()),
    )

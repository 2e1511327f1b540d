"""Golden outputs: what a model must give for a set of inputs, and how closely, without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.parity.agreement import Agreement
from legoexport.parity.judge import measure
from legoexport.parity.judge_exact import judge_exact
from legoexport.parity.rankings import LAST, judge_ranked


@dataclass(frozen=True)
class IntegerRule:
    """How many images may be moved in a file that computes in int8: ``golden_integers`` says why.

    Attributes:
        same: The largest error of an image that is not moved, in units of the output.
        moved_allowed_count: Images of the set that may be.
    """

    same: float
    moved_allowed_count: int


@dataclass(frozen=True)
class GoldenOutput:
    """What one output of the model must be, and how closely.

    Attributes:
        name: Its name in the file.
        values: ``(N, ...)`` float32, rounded from PyTorch float64; or integers or booleans.
        float32_values: Integers or booleans as PyTorch float32 gives them; None for floats.
        limit: The largest error that passes, in units of the output; 0 for integers and booleans.
        reference_max_abs_error: PyTorch float32's own error against float64.
        scores: The output with the scores that these indices rank; None if they rank none.
        axis: Along which those are ranked.
        among: All scores, float32, where those are the largest of them.
        integers: What is counted of floats that integers give; None if nothing is.
    """

    name: str
    values: NDArray[Any]
    float32_values: NDArray[Any] | None = None
    limit: float = 0.0
    reference_max_abs_error: float = 0.0
    scores: str | None = None
    axis: int = LAST
    among: NDArray[Any] | None = None
    integers: IntegerRule | None = None


@dataclass(frozen=True)
class GoldenSet:
    """Inputs and what the model must give for them.

    Attributes:
        name: What the inputs are.
        batch_size: Images per run of the model.
        arrays: ``(N, ...)`` for each input of the model.
        outputs: Output by output, in the order of the model.
    """

    name: str
    batch_size: int
    arrays: tuple[NDArray[Any], ...]
    outputs: tuple[GoldenOutput, ...]

    @property
    def images(self) -> NDArray[Any]:
        """The first input, which mostly is the only one."""
        return self.arrays[0]


def judge_golden(
    sets: Sequence[GoldenSet], outputs: Sequence[Sequence[NDArray[Any]]], growth: float = 1.0
) -> dict[str, Agreement]:
    """Judge what a model gave for each set, wherever it ran; return agreements by name of the set.

    Args:
        sets: What the model must give.
        outputs: What it gave, set by set and output by output.
        growth: The ``rounding_growth`` of the runtime that ran it.

    Raises:
        UsageError: The outputs have other shapes than the golden ones.
    """
    agreements = {}
    for one, actuals in zip(sets, outputs, strict=True):
        if len(actuals) != len(one.outputs):
            raise _differs("number of outputs", len(actuals), len(one.outputs))
        for golden, actual in zip(one.outputs, actuals, strict=True):
            agreement = _judge(golden, actual, growth)
            if len(one.outputs) == 1:
                agreements[one.name] = agreement
            else:
                agreements[f"{one.name}, {golden.name}"] = replace(agreement, output=golden.name)
        agreements |= _by_scores(one, actuals, agreements)
    return agreements


def _by_scores(
    one: GoldenSet, actuals: Sequence[NDArray[Any]], agreements: Mapping[str, Agreement]
) -> dict[str, Agreement]:
    golden_by_name = {golden.name: golden for golden in one.outputs}
    judged = {}
    for golden, actual in zip(one.outputs, actuals, strict=True):
        if golden.scores is None or golden.float32_values is None:
            continue
        ranked = golden_by_name[golden.scores].values
        indices = golden.values, golden.float32_values
        scores = agreements[f"{one.name}, {golden.scores}"]
        agreement = judge_ranked(ranked, indices, actual, golden.axis, scores, whole=golden.among)
        judged[f"{one.name}, {golden.name}"] = replace(agreement, output=golden.name)
    return judged


def _judge(one: GoldenOutput, actual: NDArray[Any], growth: float) -> Agreement:
    if actual.shape != one.values.shape:
        raise _differs(f"shape of {one.name}", actual.shape, one.values.shape)
    if actual.dtype != one.values.dtype:
        raise _differs(f"type of {one.name}", actual.dtype, one.values.dtype)
    if one.float32_values is not None:
        return judge_exact(one.values, one.float32_values, actual)
    error = one.reference_max_abs_error
    found = measure(one.values, actual, limit=growth * one.limit, reference_max_abs_error=error)
    return found if one.integers is None else _counted(found, one.integers, one.values, actual)


def _counted(
    found: Agreement, rule: IntegerRule, values: NDArray[Any], actual: NDArray[Any]
) -> Agreement:
    errors = np.abs(actual - values).reshape(len(values), -1).max(axis=1)
    moved = int((~(errors <= rule.same)).sum())  # NaN is no golden output
    excess = max(0, moved - rule.moved_allowed_count)
    return replace(found, moved_count=moved, moved_excess_count=excess)


def _differs(what: str, received: object, legal: object) -> UsageError:
    return UsageError(
        f"the model gives other shapes than the bundle holds: {what}",
        received=received,
        legal=legal,
    )

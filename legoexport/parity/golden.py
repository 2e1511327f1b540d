"""Golden outputs: what a model must give for a set of inputs, and how closely, without PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.parity.agreement import Agreement
from legoexport.parity.judge import measure
from legoexport.parity.judge_exact import judge_exact


@dataclass(frozen=True)
class GoldenOutput:
    """What one output of the model must be, and how closely.

    Attributes:
        name: Its name in the file.
        values: ``(N, ...)`` float32, rounded from PyTorch float64; or integers or booleans.
        float32_values: Integers or booleans as PyTorch float32 gives them; None for floats.
        limit: The largest error that passes, in units of the output; 0 for integers and booleans.
        reference_max_abs_error: PyTorch float32's own error against float64.
    """

    name: str
    values: NDArray[Any]
    float32_values: NDArray[Any] | None = None
    limit: float = 0.0
    reference_max_abs_error: float = 0.0


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
    return agreements


def _judge(one: GoldenOutput, actual: NDArray[Any], growth: float) -> Agreement:
    if actual.shape != one.values.shape:
        raise _differs(f"shape of {one.name}", actual.shape, one.values.shape)
    if actual.dtype != one.values.dtype:
        raise _differs(f"type of {one.name}", actual.dtype, one.values.dtype)
    if one.float32_values is not None:
        return judge_exact(one.values, one.float32_values, actual)
    error = one.reference_max_abs_error
    return measure(one.values, actual, limit=growth * one.limit, reference_max_abs_error=error)


def _differs(what: str, received: object, legal: object) -> UsageError:
    return UsageError(
        f"the model gives other shapes than the bundle holds: {what}",
        received=received,
        legal=legal,
    )

"""IntegerAgreement: how a layer's integers compare with those that are right."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import CheckFailed
from legoexport.parity.integer.arithmetic import Accepted

CHANNEL_AXIS = 1


@dataclass(frozen=True)
class IntegerAgreement:
    """How well one quantized layer of a file computes what it should.

    Attributes:
        layer: Dotted module name, or the name of the value that it gives.
        lowering: Name of its lowering, or its operator.
        images_count: Images that went through it.
        values_count: Integers that were compared.
        ties_count: Those so near a tie that more than one integer is right.
        wrong_count: Those that are none of the right ones.
        largest_step_difference: Largest distance from exact arithmetic, in steps of the output's
            scale.
        first_wrong_channel: The first channel with a wrong integer; None if there is none.
        largest_excess_steps: Largest distance from a right integer, in those steps; 0 if all are.
    """

    layer: str
    lowering: str
    images_count: int
    values_count: int
    ties_count: int
    wrong_count: int
    largest_step_difference: int
    first_wrong_channel: int | None
    largest_excess_steps: int

    @property
    def passed(self) -> bool:
        """Whether every integer is a right one."""
        return self.wrong_count == 0

    def within(self, steps: int) -> bool:
        """Whether every integer is at most so many steps away from a right one."""
        return self.largest_excess_steps <= steps

    def to_json(self) -> dict[str, Any]:
        """Return every field and the verdict as JSON values."""
        return asdict(self) | {"passed": self.passed}

    def __str__(self) -> str:
        return (
            f"{self.layer} ({self.lowering}): {self.wrong_count} of {self.values_count} wrong,"
            f" {self.ties_count} ties, largest difference {self.largest_step_difference} steps"
        )


def compare(
    layer: str, lowering: str, expected: Accepted, actual: NDArray[Any]
) -> IntegerAgreement:
    """Compare the integers ``actual (N, n, ...)`` of a layer with those that are right.

    Raises:
        CheckFailed: They have another shape.
    """
    if actual.shape != expected.nearest.shape:
        raise CheckFailed(
            f"{layer} ({lowering}): its integers have another shape",
            received=actual.shape,
            legal=expected.nearest.shape,
            next_step="convert the checkpoint again",
        )
    wrong = expected.is_wrong(actual)
    channels = np.flatnonzero(wrong.any(axis=tuple({*range(wrong.ndim)} - {CHANNEL_AXIS})))
    difference = np.abs(actual.astype(np.int64) - expected.nearest)
    return IntegerAgreement(
        layer=layer,
        lowering=lowering,
        images_count=len(actual),
        values_count=actual.size,
        ties_count=int((expected.doubt > 0).sum()),
        wrong_count=int(wrong.sum()),
        largest_step_difference=int(difference.max()),
        first_wrong_channel=int(channels[0]) if len(channels) else None,
        largest_excess_steps=int(expected.excess(actual).max()),
    )


def within_limits(name: str, operator: str, limits: NDArray[Any]) -> IntegerAgreement:
    """Return how far values are from the right ones, given in limits: up to one is right."""
    steps = np.where(np.isfinite(limits), np.ceil(limits) - 1, np.iinfo(np.int32).max)
    steps = np.maximum(steps, 0).astype(np.int64)
    wrong = np.flatnonzero(steps.any(axis=0))
    return IntegerAgreement(
        layer=name,
        lowering=operator,
        images_count=len(steps),
        values_count=steps.size,
        ties_count=0,
        wrong_count=int((steps > 0).sum()),
        largest_step_difference=int(steps.max()),
        first_wrong_channel=int(wrong[0]) if len(wrong) else None,
        largest_excess_steps=int(steps.max()),
    )

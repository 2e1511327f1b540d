"""What rounding the weights costs: the network as it was trained against the one that is stored.

Whether the file computes the stored network is another question, which ``judge_outputs`` answers.
Both networks run in PyTorch here, in float64, so nothing but the rounding shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from legoexport.models.plain_copy import plain_copy
from legoexport.models.round_weights import weights_of
from legoexport.parity.inputs import InputSet
from legoexport.parity.judge import snr_db
from legoexport.parity.judge_outputs import SCORES_RANK
from legoexport.parity.reference import ReferenceNetwork


@dataclass(frozen=True)
class WeightsCost:
    """What rounding costs one bank or dense weight.

    Attributes:
        name: Its dotted name.
        sqnr_db: Power of the weights over power of the rounding, in dB; None if none changed.
    """

    name: str
    sqnr_db: float | None


@dataclass(frozen=True)
class ScoresCost:
    """What rounding costs the first output on one set of inputs.

    Attributes:
        name: What the inputs are.
        images_count: How many.
        sqnr_db: Power of the output over power of its change, in dB; None if nothing changed.
        agreeing_count: Images whose largest score stays the largest; None if it gives no scores.
        right_before_count: Images that the trained network has right; None without labels.
        right_after_count: Images that the stored network has right.
    """

    name: str
    images_count: int
    sqnr_db: float | None
    agreeing_count: int | None
    right_before_count: int | None
    right_after_count: int | None


@dataclass(frozen=True)
class StoreCost:
    """The whole bill.

    Attributes:
        weights: One entry for each bank and dense weight, in the order of the network.
        scores: One entry for each set of inputs.
    """

    weights: tuple[WeightsCost, ...]
    scores: tuple[ScoresCost, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def store_cost(trained: nn.Module, stored: nn.Module, sets: Sequence[InputSet]) -> StoreCost:
    """Compare a network with itself after ``round_weights``.

    Args:
        trained: The network before.
        stored: The network after.
        sets: Inputs to run both on.

    Raises:
        UsageError: The networks do not take such inputs.
    """
    before, after = weights_of(plain_copy(trained)), weights_of(stored)
    weights = [
        WeightsCost(name, sqnr_db(before[name].numpy(), after[name].numpy())) for name in after
    ]
    pair = ReferenceNetwork(trained), ReferenceNetwork(stored)
    return StoreCost(tuple(weights), tuple(_scores_cost(one, *pair) for one in sets))


def sqnr_db(signal: NDArray[Any], changed: NDArray[Any]) -> float | None:
    """Return the power of ``signal`` over that of the change, in dB; None if nothing changed."""
    wide = signal.astype(np.float64)
    ratio = snr_db(wide, changed - wide)
    return ratio if math.isfinite(ratio) else None


def _scores_cost(one: InputSet, trained: ReferenceNetwork, stored: ReferenceNetwork) -> ScoresCost:
    before, after = (net.run(*one.arrays).outputs[0].float64 for net in (trained, stored))
    are_scores = before.ndim == SCORES_RANK and before.dtype.kind == "f"
    best = [scores.argmax(axis=1) for scores in (before, after)] if are_scores else None
    labels = one.labels if best else None
    right = (
        [int((found == labels).sum()) for found in best] if best and labels is not None else None
    )
    return ScoresCost(
        name=one.name,
        images_count=len(one.images),
        sqnr_db=sqnr_db(before, after),
        agreeing_count=int((best[0] == best[1]).sum()) if best else None,
        right_before_count=right[0] if right else None,
        right_after_count=right[1] if right else None,
    )

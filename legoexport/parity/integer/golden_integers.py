"""Golden outputs of a file in int8: what its integers give, and how far a right runtime may be.

A runtime that gets the same integers gives the same outputs, but for what float32 loses behind the
last of them. Where a tie of a rounding falls to the other side, an integer moves by one step, the
layers behind it carry that on, and the image is *moved*. How many images that concerns and how far
it reaches depends on the network and is measured, as float32's own error is for other files: by the
same file computed in float32, where ties fall otherwise::

    an image is moved    max|y - golden| > FACTOR * FLOOR * range
    moved images         <= ceil(FACTOR * share of images that float32 moves * images) + 1
    max|y - golden|      <= max(FACTOR * share of the range by which float32 moves them * range,
                                REACH * share by which one step of one input moves them * range,
                                min(one step of every last integer, LEAST_STEPS / STEPS * range))

So no single integer at a tie is taken for a fault, even where float32 happens to move no image; a
wrong entry in a table is found by the number of images that it moves.
Outputs of integers must be equal; indices of scores follow the rule of ``rankings``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import FACTOR, FLOOR
from legoexport.parity.golden import GoldenOutput, GoldenSet, IntegerRule
from legoexport.parity.inputs import InputSet
from legoexport.parity.integer.last_step import last_step
from legoexport.parity.integer.one_step import one_step_away
from legoexport.parity.opened import OpenedModel
from legoexport.parity.rankings import LAST, Ranking, rankings
from legoexport.passes.give_top import ALL_PROBABILITIES

# A step of an output is its range in 8 bits. Two: a tie in its own rounding, and one before it.
STEPS, LEAST_STEPS = 255, 2
# A step of an integer further inside was seen to reach 1.5 times as far as one of an input.
REACH = 2.0
# Of each set: these show how far ties reach, and how many images they concern.
PROBED_COUNT = 64

Outputs = Mapping[str, NDArray[Any]]


def golden_integers(
    opened: OpenedModel, inputs: Sequence[InputSet], runs: Sequence[Outputs]
) -> tuple[GoldenSet, ...]:
    """Return what a bundle holds.

    Args:
        opened: The file.
        inputs: Sets of images.
        runs: What its integers give for each, ``(N, ...)`` by name: its outputs and, where those
            are the likeliest classes, the probabilities of all.
    """
    floats = RuntimeModel(opened.model_bytes, opened.threads, integer_kernels=False)
    few = [_first(one) for one in inputs]
    probed = [floats.run_all(one.arrays, one.batch_size) for one in few]
    stepped = [floats.run_all(_one_step_away(opened, one), one.batch_size) for one in few]
    ranked = {one.output: one for one in rankings(opened.model)}
    by_output = []
    for name in opened.runtime.output_names:
        values = [run[name] for run in runs]
        if values[0].dtype == np.float32:
            again, further = ([one[name] for one in found] for found in (probed, stepped))
            moves = _Moves.of(values, again, further)
            step = last_step(opened.model.graph, name)
            by_output.append([_floats(name, one, moves, step) for one in values])
        else:
            by_output.append([_integers(name, run, ranked.get(name)) for run in runs])
    return tuple(
        GoldenSet(one.name, one.batch_size, one.arrays, outputs)
        for one, outputs in zip(inputs, zip(*by_output, strict=True), strict=True)
    )


@dataclass(frozen=True)
class _Moves:
    """How far one output is moved, and of how many images.

    Attributes:
        range_share: The largest error of float32 in the place of integers, as a share of the range
            of its set.
        images_share: Images that this moves, as a share of all.
        step_share: The largest error by one step of one input, as a share of the range.
    """

    range_share: float
    images_share: float
    step_share: float

    @classmethod
    def of(
        cls,
        golden: Sequence[NDArray[Any]],
        probed: Sequence[NDArray[Any]],
        stepped: Sequence[NDArray[Any]],
    ) -> _Moves:
        ranges = [_range(one) for one in golden]
        shares = _shares(golden, probed, ranges)
        by_step = _shares(probed, stepped, ranges)
        images_share = (shares > FACTOR * FLOOR).mean()
        return cls(float(shares.max()), float(images_share), float(by_step.max()))


def _shares(
    golden: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]], ranges: Sequence[float]
) -> NDArray[Any]:
    """Return the error of each image, as a share of the range of its set."""
    errors = [
        np.abs(again - one[: len(again)]).reshape(len(again), -1).max(axis=1) / whole
        for one, again, whole in zip(golden, found, ranges, strict=True)
    ]
    return np.concatenate(errors)


def _first(inputs: InputSet) -> InputSet:
    """Return the images to measure, in whole batches: a file may have a fixed one."""
    count = max(1, PROBED_COUNT // inputs.batch_size) * inputs.batch_size
    return replace(inputs, arrays=tuple(array[:count] for array in inputs.arrays))


def _one_step_away(opened: OpenedModel, inputs: InputSet) -> list[NDArray[Any]]:
    names = [one.name for one in opened.runtime.inputs]
    return one_step_away(opened.model.graph, names, inputs.arrays)


def _floats(name: str, values: NDArray[Any], moves: _Moves, step: float | None) -> GoldenOutput:
    whole = _range(values)
    least = LEAST_STEPS / STEPS * whole
    reach = max(FACTOR * moves.range_share, REACH * moves.step_share) * whole
    limit = max(reach, least if step is None else min(step, least))
    allowed = math.ceil(FACTOR * moves.images_share * len(values)) + 1
    return GoldenOutput(
        name, values, limit=limit, integers=IntegerRule(FACTOR * FLOOR * whole, allowed)
    )


def _integers(name: str, run: Outputs, ranking: Ranking | None) -> GoldenOutput:
    return GoldenOutput(
        name,
        run[name],
        run[name],
        scores=ranking.scores if ranking else None,
        axis=ranking.axis if ranking else LAST,
        among=run.get(ALL_PROBABILITIES),
    )


def _range(output: NDArray[Any]) -> float:
    return float(np.ptp(output)) or float(np.abs(output).max()) or 1.0

"""Golden outputs of a file in int8: what its integers give, and how far a right runtime may be.

A tie that falls to the other side moves one integer by a step, and later layers carry that on. How
far that reaches depends on the network and is measured, as float32's own error is for other files:
by the outputs of the same file computed in float32, where ties fall otherwise. The limit is::

    max(FACTOR * largest share of the range by which the two differ, LEAST_STEPS / STEPS) * range
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import FACTOR
from legoexport.parity.golden import GoldenOutput, GoldenSet
from legoexport.parity.inputs import InputSet
from legoexport.parity.opened import OpenedModel

# A step of an output is its range in 8 bits. Two: a tie in its own rounding, and one before it.
STEPS, LEAST_STEPS = 255, 2
# Of each set: the differences of a few images show how far ties reach.
PROBED_COUNT = 8


def golden_integers(
    opened: OpenedModel, inputs: Sequence[InputSet], outputs: Sequence[NDArray[np.float32]]
) -> tuple[GoldenSet, ...]:
    """Return what a bundle holds; nothing for a model of several outputs, or other than floats.

    Args:
        opened: The file.
        inputs: Sets of images.
        outputs: What its integers give for each, ``(N, ...)``.
    """
    runtime = opened.runtime
    if len(runtime.output_names) != 1 or runtime.output_dtypes != ("float32",):
        return ()
    floats = RuntimeModel(opened.model_bytes, opened.threads, integer_kernels=False)
    pairs = list(zip(inputs, outputs, strict=True))
    shares = [_moved(floats, one, output) / _range(output) for one, output in pairs]
    share = max(FACTOR * max(shares), LEAST_STEPS / STEPS)
    return tuple(
        GoldenSet(
            one.name,
            one.batch_size,
            one.arrays,
            (GoldenOutput(runtime.output_names[0], output, limit=share * _range(output)),),
        )
        for one, output in pairs
    )


def _moved(floats: RuntimeModel, inputs: InputSet, output: NDArray[np.float32]) -> float:
    """Return by how much float32 moves the outputs of a few images."""
    arrays = [array[:PROBED_COUNT] for array in inputs.arrays]
    again = next(iter(floats.run_all(arrays, inputs.batch_size).values()))
    return float(np.abs(again - output[: len(again)]).max())


def _range(output: NDArray[np.float32]) -> float:
    return float(np.ptp(output)) or float(np.abs(output).max()) or 1.0

"""One step: images with one number each moved as far as the first integers can tell.

It shows how far an image can be moved by a single integer that a runtime rounds to the other side
of a tie: in the first layer it reaches the furthest, through all layers behind it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from legoexport.parity.inputs import SEED, WHOLE_RANGES


def one_step_away(
    graph: onnx.GraphProto, names: Sequence[str], arrays: Sequence[NDArray[Any]]
) -> list[NDArray[Any]]:
    """Return copies of ``arrays (N, ...)``, in each image one number moved by one step.

    A step is the scale of the QuantizeLinear that reads an input of floats, and 1 in an input of
    8-bit integers. Other inputs stay as they are.

    Args:
        graph: Of a file in int8.
        names: Of its inputs.
        arrays: One for each input.
    """
    rng = np.random.default_rng(SEED)
    pairs = zip(names, arrays, strict=True)
    return [_moved(array, _step(graph, name, array), rng) for name, array in pairs]


def _step(graph: onnx.GraphProto, name: str, array: NDArray[Any]) -> float | None:
    if str(array.dtype) in WHOLE_RANGES:
        return 1.0
    readers = (node for node in graph.node if node.op_type == "QuantizeLinear")
    scales = {node.input[1] for node in readers if node.input[0] == name}
    stored = (one for one in graph.initializer if one.name in scales)
    return max((float(numpy_helper.to_array(one).max()) for one in stored), default=None)


def _moved(array: NDArray[Any], step: float | None, rng: np.random.Generator) -> NDArray[Any]:
    if step is None:
        return array
    rows = array.reshape(len(array), -1).copy()
    images, places = np.arange(len(rows)), rng.integers(rows.shape[1], size=len(rows))
    numbers = rows[images, places].astype(np.float64) + step * rng.choice([-1, 1], len(rows))
    low, high = WHOLE_RANGES.get(str(array.dtype), (-np.inf, np.inf))
    inside = (numbers >= low) & (numbers <= high)
    rows[images, places] = np.where(inside, numbers, rows[images, places])
    return rows.reshape(array.shape)

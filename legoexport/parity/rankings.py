"""Rankings: indices that ``topk``, ``sort`` and ``argmax`` give, where equal scores have no order.

PyTorch and ONNX Runtime may order equal scores differently, and both are right. Where a network
gives the scores beside their indices, an index is judged by the score it picks: it is right if that
is, in ``y64``, within the limit of the score that belongs there, and no index of the row comes
twice. Nothing proves that of indices alone, or of one that ``y64`` does not give at all; of a file
that gives the likeliest classes, PyTorch gives all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from legoexport.parity.agreement import Agreement
from legoexport.parity.judge_exact import judge_exact

RANKING, CHOOSING = "TopK", ("ArgMax", "ArgMin")
# They pass indices on, and leave their order as it is.
TRANSPARENT = ("Cast", "Identity")
LAST, CLASS_AXIS = -1, 1
# A limit that not even two equal scores are within.
NO_TIE = -1.0


@dataclass(frozen=True)
class Ranking:
    """An output that holds indices of scores.

    Attributes:
        output: Its name.
        scores: The output with the scores that they pick, if the model gives those too.
        axis: Along which the scores are ranked.
        node: The node that ranks, with its operator.
    """

    output: str
    scores: str | None
    axis: int
    node: str


def rankings(model: onnx.ModelProto) -> tuple[Ranking, ...]:
    """Return the outputs of a model that hold indices of scores."""
    producers = {name: node for node in model.graph.node for name in node.output}
    sources = {one.name: _source(one.name, producers) for one in model.graph.output}
    found = []
    for output, source in sources.items():
        node = producers.get(source)
        if node is None:
            continue
        if node.op_type == RANKING and source == node.output[1]:
            given = (name for name, one in sources.items() if one == node.output[0])
            found.append(Ranking(output, next(given, None), _axis(node, LAST), _described(node)))
        elif node.op_type in CHOOSING:
            found.append(Ranking(output, None, _axis(node, 0), _described(node)))
    return tuple(found)


def judge_ranked(
    ranked: NDArray[np.floating],
    indices: tuple[NDArray[Any], NDArray[Any]],
    actual: NDArray[Any],
    axis: int,
    scores: Agreement,
    *,
    whole: NDArray[np.floating] | None = None,
) -> Agreement:
    """Judge indices by the scores that they pick, if the model gives the scores right.

    Args:
        ranked: The scores in their order, from PyTorch in float64.
        indices: Where they were, from PyTorch in float64 and in float32; of the same shape.
        actual: The indices of the model.
        axis: Along which the scores are ranked.
        scores: The verdict on the model's scores.
        whole: All scores, where ``ranked`` are the largest of them.
    """
    float64, float32 = indices
    limit = scores.limit if scores.passed else NO_TIE
    known = None if whole is None else whole.astype(np.float64)
    wanted = ranked.astype(np.float64)
    equal = picks_equal_scores(wanted, float64, actual, limit, axis, whole=known)
    settled = np.where(equal, float64, actual)
    agreement = judge_exact(float64, float32, settled)
    ties_count = int((equal & (actual != float64)).sum())
    return replace(agreement, unsettled_count=agreement.unsettled_count + ties_count)


def largest(scores: NDArray[Any], count: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the largest of ``scores (N, classes)``, in order, and their places, ``(N, count)``."""
    places = np.argsort(-scores, axis=CLASS_AXIS, kind="stable")[:, :count]
    return np.take_along_axis(scores, places, CLASS_AXIS), places


def picks_equal_scores(
    scores: NDArray[np.float64],
    indices: NDArray[np.int64],
    actual: NDArray[np.int64],
    limit: float,
    axis: int,
    *,
    whole: NDArray[np.float64] | None = None,
) -> NDArray[np.bool_]:
    """Return which indices of a model pick a score that is as good as the right one.

    Args:
        scores: Ranked, from PyTorch in float64.
        indices: Where they were, of the same shape.
        actual: The indices of the model.
        limit: How far two scores may be from each other.
        axis: Along which they are ranked.
        whole: All scores, where ``scores`` are the largest of them.
    """
    shape = np.moveaxis(scores, axis, LAST).shape
    known, places = (scores, indices) if whole is None else (whole, np.indices(whole.shape)[axis])
    rows = (_rows(one, axis) for one in (scores, known, places, actual))
    equal = np.stack([_equal_in_row(*row, limit=limit) for row in zip(*rows, strict=True)])
    return np.moveaxis(equal.reshape(shape), LAST, axis)


def _rows(array: NDArray[Any], axis: int) -> NDArray[Any]:
    return np.moveaxis(array, axis, LAST).reshape(-1, array.shape[axis])


def _equal_in_row(
    wanted: NDArray[np.float64],
    scores: NDArray[np.float64],
    indices: NDArray[np.int64],
    actual: NDArray[np.int64],
    *,
    limit: float,
) -> NDArray[np.bool_]:
    order = np.argsort(indices)
    places = np.minimum(np.searchsorted(indices, actual, sorter=order), len(order) - 1)
    taken = order[places]
    is_given = indices[taken] == actual
    is_permutation = len(np.unique(actual)) == len(actual)
    is_near = np.abs(scores[taken] - wanted) <= limit
    equal: NDArray[np.bool_] = is_given & is_near & is_permutation
    return equal


def note(model: onnx.ModelProto, worst: Agreement) -> str | None:
    """Say what may be behind a wrong output that holds indices; None if it holds none."""
    name = worst.output or model.graph.output[0].name
    ranking = next((one for one in rankings(model) if one.output == name), None)
    if ranking is None:
        return None
    problem = (
        f"output {name} holds indices from {ranking.node}: PyTorch and ONNX Runtime may order equal"
        " scores differently"
    )
    if ranking.scores is None:
        return f"{problem}; return the scores beside them, and they are judged by what they pick"
    return f"{problem}, and at the end take others of them; rank them all, or break the ties"


def _source(name: str, producers: dict[str, onnx.NodeProto]) -> str:
    while (node := producers.get(name)) is not None and node.op_type in TRANSPARENT:
        name = node.input[0]
    return name


def _axis(node: onnx.NodeProto, default: int) -> int:
    return next((one.i for one in node.attribute if one.name == "axis"), default)


def _described(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name}"

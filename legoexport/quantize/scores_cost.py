"""What rounding costs the scores of a network: files against the network as it was trained.

PyTorch gives the scores of the trained network in float64, ONNX Runtime those of a file.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from legoexport.errors import UsageError
from legoexport.ort.session import RuntimeModel
from legoexport.parity.inputs import InputSet
from legoexport.parity.judge import check_labels, snr_db
from legoexport.parity.judge_outputs import SCORES_RANK
from legoexport.parity.reference import ReferenceNetwork

POINTS = 100.0


@dataclass(frozen=True)
class FileScores:
    """The first output of a file on one set of inputs.

    Attributes:
        file: What the file is.
        sqnr_db: Power of the trained network's output over power of the change, in dB; None if
            nothing changed.
        agreeing_count: Images whose largest score is that of the trained network; None if the
            output holds no scores of classes.
        right_count: Images that the file has right; None without labels.
    """

    file: str
    sqnr_db: float | None
    agreeing_count: int | None
    right_count: int | None


@dataclass(frozen=True)
class ScoresCost:
    """What files give on one set of inputs.

    Attributes:
        name: What the inputs are.
        images_count: How many.
        right_count: Images that the trained network has right; None without labels.
        files: An entry for each file.
    """

    name: str
    images_count: int
    right_count: int | None
    files: tuple[FileScores, ...]


@dataclass(frozen=True, eq=False)
class _Truth:
    """The output of the trained network for a set, and the classes it says, if it says any."""

    inputs: InputSet
    output: NDArray[Any]

    @property
    def has_classes(self) -> bool:
        return self.output.ndim == SCORES_RANK and self.output.dtype.kind == "f"

    def agreeing_count(self, output: NDArray[Any]) -> int | None:
        if not self.has_classes:
            return None
        return int((output.argmax(axis=1) == self.output.argmax(axis=1)).sum())

    def right_count(self, output: NDArray[Any]) -> int | None:
        if not self.has_classes or self.inputs.labels is None:
            return None
        check_labels(self.inputs.labels, output.shape[1])
        return int((output.argmax(axis=1) == self.inputs.labels).sum())


class TrainedScores:
    """What the trained network gives on sets of inputs; PyTorch runs once for any number of files.

    Args:
        trained: The network, in any mode; it is left as it is.
        sets: The inputs.
        threads: Threads of ONNX Runtime.

    Raises:
        UsageError: The network does not take such inputs.
    """

    def __init__(self, trained: nn.Module, sets: Sequence[InputSet], threads: int) -> None:
        network = ReferenceNetwork(trained)
        self._truths = tuple(
            _Truth(one, network.run(*one.arrays).outputs[0].float64) for one in sets
        )
        self._threads = threads

    def cost(self, files: Mapping[str, bytes]) -> tuple[ScoresCost, ...]:
        """Run ``files``, each by what it is, and return an entry for each set.

        Raises:
            UsageError: A file takes other inputs than the network, or gives outputs of another
                shape.
        """
        costs = []
        outputs = {name: self._run_fitting(name, one) for name, one in files.items()}
        for i, truth in enumerate(self._truths):
            scores = [_file_scores(name, truth, found[i]) for name, found in outputs.items()]
            count, right = len(truth.inputs.images), truth.right_count(truth.output)
            costs.append(ScoresCost(truth.inputs.name, count, right, tuple(scores)))
        return tuple(costs)

    def drop_points(self, model_bytes: bytes) -> float:
        """Return how much worse a file is than the trained network, in percentage points.

        With labels it is the share of right answers that is lost; without any, the share of images
        for which the file gives another class.

        Raises:
            UsageError: The network gives no scores of classes.
        """
        if not all(truth.has_classes for truth in self._truths):
            raise UsageError(
                "the accuracy of a network is counted by its first output",
                received=[truth.output.shape for truth in self._truths],
                legal="scores (batch, classes)",
                next_step="leave --max-drop out",
            )
        outputs = self._run(model_bytes)
        pairs = list(zip(self._truths, outputs, strict=True))
        labelled = [pair for pair in pairs if pair[0].inputs.labels is not None]
        lost = sum(_lost_count(*pair) for pair in labelled or pairs)
        return POINTS * lost / sum(len(output) for _, output in labelled or pairs)

    def _run_fitting(self, name: str, model_bytes: bytes) -> list[NDArray[Any]]:
        runtime = self._open(model_bytes)
        for truth in self._truths:
            given = [(one.shape[1:], str(one.dtype)) for one in truth.inputs.arrays]
            _check_fits(name, "takes", [(one.shape, one.dtype) for one in runtime.inputs], given)
        outputs = self._outputs(runtime)
        for truth, output in zip(self._truths, outputs, strict=True):
            _check_fits(name, "gives", output.shape[1:], truth.output.shape[1:])
        return outputs

    def _run(self, model_bytes: bytes) -> list[NDArray[Any]]:
        return self._outputs(self._open(model_bytes))

    def _open(self, model_bytes: bytes) -> RuntimeModel:
        return RuntimeModel(model_bytes, self._threads, integer_kernels=False)

    def _outputs(self, runtime: RuntimeModel) -> list[NDArray[Any]]:
        sets = [truth.inputs for truth in self._truths]
        return [next(iter(runtime.run_all(one.arrays, one.batch_size).values())) for one in sets]


def _check_fits(name: str, verb: str, received: object, legal: object) -> None:
    if received != legal:
        raise UsageError(
            f"{name}: it {verb} other shapes than the network of the checkpoint",
            received=received,
            legal=legal,
            next_step="name the dense twin of this checkpoint, as convert --dense-twin writes it",
        )


def sqnr_db(signal: NDArray[Any], changed: NDArray[Any]) -> float | None:
    """Return the power of ``signal`` over that of the change, in dB; None if nothing changed."""
    wide = signal.astype(np.float64)
    ratio = snr_db(wide, changed - wide)
    return ratio if math.isfinite(ratio) else None


def _file_scores(name: str, truth: _Truth, output: NDArray[Any]) -> FileScores:
    return FileScores(
        file=name,
        sqnr_db=sqnr_db(truth.output, output),
        agreeing_count=truth.agreeing_count(output),
        right_count=truth.right_count(output),
    )


def _lost_count(truth: _Truth, output: NDArray[Any]) -> int:
    """Images lost on a set: right answers if it has labels, else those of another class."""
    before, after = truth.right_count(truth.output), truth.right_count(output)
    if before is not None and after is not None:
        return before - after
    return len(output) - (truth.agreeing_count(output) or 0)

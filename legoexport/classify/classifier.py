"""Classifier: an ONNX file that gives scores for one image, and what it says of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.host.reading import read_bytes
from legoexport.lego.file_facts import FileFacts, read_facts
from legoexport.lego.output_form import top_count
from legoexport.ort.session import GREY_OR_COLOUR, RuntimeModel, parse_model

SCORES_RANK = 2


@dataclass(frozen=True)
class Classifier:
    """A classifier of images.

    Attributes:
        name: Name of the file.
        runtime: The file in ONNX Runtime.
        facts: What the file says of itself.
        classes_count: How many classes it tells apart.
    """

    name: str
    runtime: RuntimeModel
    facts: FileFacts
    classes_count: int

    def run(self, images: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """Return every output, ``(N, ...)``, for images ``(N, ...)`` as the file takes them.

        Where the batch is fixed, the last images are repeated until they fill one.

        Raises:
            CheckFailed: ONNX Runtime stops with an error.
        """
        size = self.runtime.fixed_batch_size or len(images)
        filled = -(-len(images) // size) * size
        repeated = np.concatenate([images, np.repeat(images[-1:], filled - len(images), axis=0)])
        return tuple(one[: len(images)] for one in self.runtime.run_all((repeated,), size).values())


def open_classifier(path: Path, threads: int = 1) -> Classifier:
    """Read an ONNX file and run it once.

    What computes in int8 runs without the kernels that overflow on some processors, so that every
    machine gives the same scores.

    Raises:
        UsageError: It is unreadable, or is not a classifier of images.
        CheckFailed: ONNX Runtime stops with an error while it runs.
    """
    model_bytes = read_bytes(path)
    model = parse_model(model_bytes, str(path))
    runtime = RuntimeModel(model_bytes, threads, integer_kernels=False)
    channels, *_ = runtime.image_shape
    size, (image,) = runtime.fixed_batch_size or 1, runtime.inputs
    outputs = runtime.run_all((np.zeros((size, *image.shape), image.dtype),), size)
    facts = read_facts(model)
    classes_count = count_classes(tuple(outputs.values()), facts)
    if classes_count is None or channels not in GREY_OR_COLOUR:
        raise UsageError(
            f"{path} is not a classifier of images",
            received=f"{(size, *image.shape)} ->"
            f" { {name: (str(one.dtype), one.shape) for name, one in outputs.items()} }",
            legal="(batch, 1 or 3, h, w) -> one output (batch, classes) of float32",
        )
    return Classifier(path.name, runtime, facts, classes_count)


def count_classes(outputs: Sequence[NDArray[Any]], facts: FileFacts) -> int | None:
    """Return how many classes a file tells apart; None if its outputs are not of classes."""
    types, sizes = [one.dtype for one in outputs], {one.shape[1:] for one in outputs}
    count = top_count(facts.output)
    if count is not None:
        is_top = types == [np.float32, np.int64] and sizes == {(count,)}
        return facts.classes_count if is_top else None
    is_single = types == [np.float32] and outputs[0].ndim == SCORES_RANK
    return int(outputs[0].shape[1]) if is_single else None

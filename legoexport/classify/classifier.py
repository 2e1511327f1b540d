"""Classifier: an ONNX file that gives scores for one image, and what it says of itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.host.reading import read_bytes
from legoexport.lego.file_facts import FileFacts, read_facts
from legoexport.ort.session import GREY_OR_COLOUR, RuntimeModel, parse_model

SCORES_RANK = 2


@dataclass(frozen=True)
class Classifier:
    """A classifier of images.

    Attributes:
        name: Name of the file.
        runtime: The file in ONNX Runtime.
        facts: What the file says of itself.
        classes_count: Scores per image.
    """

    name: str
    runtime: RuntimeModel
    facts: FileFacts
    classes_count: int

    def scores(self, images: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``(N, classes)`` for images ``(N, ...)`` as the file takes them.

        Where the batch is fixed, the last images are repeated until they fill one.

        Raises:
            CheckFailed: ONNX Runtime stops with an error.
        """
        size = self.runtime.fixed_batch_size or len(images)
        filled = -(-len(images) // size) * size
        repeated = np.concatenate([images, np.repeat(images[-1:], filled - len(images), axis=0)])
        return self.runtime.run(repeated, size)[: len(images)].astype(np.float64)


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
    scores = runtime.run_all((np.zeros((size, *image.shape), image.dtype),), size)
    shapes = {name: one.shape for name, one in scores.items()}
    floats = all(one.dtype == np.float32 for one in scores.values())
    is_single = len(shapes) == 1 and floats and len(next(iter(shapes.values()))) == SCORES_RANK
    if not is_single or channels not in GREY_OR_COLOUR:
        raise UsageError(
            f"{path} is not a classifier of images",
            received=f"{(size, *image.shape)} -> {shapes}",
            legal="(batch, 1 or 3, h, w) -> one output (batch, classes) of float32",
        )
    (shape,) = shapes.values()
    return Classifier(path.name, runtime, read_facts(model), shape[1])

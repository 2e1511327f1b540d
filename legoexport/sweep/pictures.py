"""The pictures of a sweep, for its files in int8: some calibrate them, others judge them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from legoexport.errors import UsageError
from legoexport.lego.normalization import Normalization
from legoexport.ort.session import RuntimeModel
from legoexport.parity.inputs import InputSet
from legoexport.quantize.images import Divided, divide_training

THREADS = 1


@lru_cache(maxsize=1)
def divided_pictures(
    source: str, image_shape: tuple[int, int, int], normalization: Normalization | None
) -> Divided:
    """Read the pictures, once for all networks: they take the same and were trained on the same.

    Args:
        source: The pictures, as for train.
        image_shape: ``(c, h, w)`` that the networks take.
        normalization: Of the pictures in training.

    Raises:
        UsageError: They cannot be read, or none are left to calibrate with.
    """
    return divide_training(source, image_shape, normalization)


def count_correct(model_bytes: bytes, judging: InputSet) -> int:
    """Count the pictures that a file classifies correctly here, by the kernels that users run.

    Raises:
        UsageError: The pictures have no labels.
    """
    if judging.labels is None:
        raise UsageError(f"{judging.name} have no labels")
    scores = RuntimeModel(model_bytes, THREADS).run(judging.images, judging.batch_size)
    return int(np.count_nonzero(scores.argmax(axis=1) == judging.labels))

"""Predict: pictures to the probabilities of their classes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.classify.classifier import Classifier
from legoexport.errors import CheckFailed, UsageError
from legoexport.host.reading import read_bytes
from legoexport.lego.normalization import Normalization
from legoexport.lego.output_form import SCORES
from legoexport.training.data.decode import Decoder

# Pictures in memory at a time.
BATCH_SIZE = 32


@dataclass(frozen=True)
class Guess:
    """A class and how likely it is.

    Attributes:
        index: Its place among the scores.
        name: Its name; its place where nobody named it.
        probability: By the softmax of the scores.
    """

    index: int
    name: str
    probability: float


@dataclass(frozen=True)
class Prediction:
    """What a file makes of a picture.

    Attributes:
        picture: The picture's file.
        guesses: The likeliest classes, the first one most.
    """

    picture: Path
    guesses: tuple[Guess, ...]


def predict(
    classifier: Classifier,
    pictures: Sequence[Path],
    normalization: Normalization,
    class_names: Sequence[str],
    top_count: int,
) -> Iterator[Prediction]:
    """Classify pictures, prepared as in training; they are read in batches.

    Args:
        classifier: The file.
        pictures: Files that Pillow decodes, of any size unless the file scales them itself.
        normalization: Of the pictures in training; not used where the file normalises itself.
        class_names: One for each score, or none.
        top_count: Classes to give for each picture, at most; a file that gives fewer gives those.

    Raises:
        UsageError: A picture cannot be read or decoded; it is named.
        CheckFailed: ONNX Runtime stops with an error, or gives scores that are not finite.
    """
    for start in range(0, len(pictures), BATCH_SIZE):
        batch = pictures[start : start + BATCH_SIZE]
        pixels = np.stack([_decoded(path, classifier) for path in batch])
        takes_pixels = classifier.runtime.inputs[0].is_pixels
        images = pixels if takes_pixels else normalization.applied(np.moveaxis(pixels, 3, 1))
        names = class_names or [str(index) for index in range(classifier.classes_count)]
        for path, *best in zip(batch, *_likeliest(classifier, images), strict=True):
            pairs = itertools.islice(zip(*best, strict=True), top_count)
            guesses = (Guess(int(i), names[i], float(chance)) for chance, i in pairs)
            yield Prediction(path, tuple(guesses))


def _decoded(path: Path, classifier: Classifier) -> NDArray[np.uint8]:
    """Return a picture ``(h, w, c)`` as large as a file takes it.

    Raises:
        UsageError: It cannot be read or decoded, or the file scales pictures of another size; to
            scale one twice is not what training did.
    """
    channels, *size = classifier.runtime.image_shape
    taken = size[0], size[1]
    if classifier.facts.resize is None:
        return Decoder(channels, taken).decode(str(path), read_bytes(path))
    picture = Decoder(channels).decode(str(path), read_bytes(path))
    if picture.shape[:2] != taken:
        raise UsageError(
            f"{path} has another size than the model scales",
            received="{}x{}".format(*picture.shape),
            legal="{}x{}".format(*taken),
            next_step="give pictures of this size, or convert with their --resize, or without it",
        )
    return picture


def _likeliest(
    classifier: Classifier, images: NDArray[Any]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return probabilities, the largest first, and their classes: all, or those a file gives.

    Raises:
        CheckFailed: ONNX Runtime stops with an error, or a score is not finite, or no class.
    """
    given, *places = classifier.run(images)
    if not np.isfinite(given).all():
        raise CheckFailed("the model gives NaN or infinite scores", legal="finite numbers")
    if places:
        _check_classes(places[0], classifier.classes_count)
        return given, places[0]
    gives_scores = classifier.facts.output == SCORES
    shares = probabilities(given.astype(np.float64)) if gives_scores else given
    order = np.argsort(-shares, axis=1, kind="stable")
    return np.take_along_axis(shares, order, axis=1), order


def _check_classes(indices: NDArray[np.int64], classes_count: int) -> None:
    wrong = indices[(indices < 0) | (indices >= classes_count)]
    if wrong.size:
        raise CheckFailed(
            "the model gives classes that there are not",
            received=int(wrong[0]),
            legal=f"0 to {classes_count - 1}",
        )


def probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the softmax of each row of ``(N, classes)``; the scores are finite."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares

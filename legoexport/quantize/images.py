"""Real images to calibrate with, and others to judge on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.lego.normalization import Normalization
from legoexport.parity.image_series import BATCH_SIZE, ImageSeries, draw, in_memory
from legoexport.parity.inputs import InputSet, batched
from legoexport.parity.pictures import RealImages, open_images

# More settle the ranges no further, and every one of them costs a run in float.
MOST_IMAGES = 512
FEWEST_IMAGES = 2


@dataclass(frozen=True, eq=False)
class CalibrationImages:
    """Images that settle the ranges of activations. They are read anew each time they are needed.

    Attributes:
        series: The images.
    """

    series: ImageSeries

    @classmethod
    def of(cls, images: NDArray[np.float32]) -> CalibrationImages:
        """Take images ``(N, c, h, w)`` that are in memory, prepared as for training."""
        count, channels, height, width = images.shape
        shape = channels, height, width
        return cls(ImageSeries("images given", count, shape, in_memory(images)))

    @property
    def source(self) -> str:
        """What the images are."""
        return self.series.name

    @property
    def count(self) -> int:
        """How many there are."""
        return self.series.count

    @cached_property
    def sha256(self) -> str:
        """Digest of the images as the network takes them, of their sizes and order; hexadecimal."""
        digest = hashlib.sha256(repr((self.count, *self.series.image_shape)).encode())
        for batch in self.batches(BATCH_SIZE):
            digest.update(_content(batch))
        return digest.hexdigest()

    def batches(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Read ``(b, c, h, w)``, ``b`` at most ``size``; memory holds one batch.

        Raises:
            UsageError: An image cannot be read.
        """
        return self.series.batches(size)

    def half(self, part: int) -> CalibrationImages:
        """Return every second image: the even ones for part 0, the odd ones for part 1."""
        return CalibrationImages(self.series.at(np.arange(part, self.count, 2)))


@dataclass(frozen=True, eq=False)
class Divided:
    """Images to calibrate with, and none of them among those to judge on.

    Attributes:
        calibration: Settle the ranges.
        judging: Tell what the result is worth; the name says how many were left out of it, if any
            were, because equal ones are in ``calibration``.
    """

    calibration: CalibrationImages
    judging: InputSet


def calibration_images(
    source: str | Path,
    input_shape: tuple[int, int, int],
    normalization: Normalization | None,
    limit: int | None = None,
) -> CalibrationImages:
    """Draw images to calibrate with, and with nothing else: ``divide`` leaves some to judge on.

    Args:
        source: As ``open_images`` takes it. Of labelled pictures, those of the training are taken.
        input_shape: ``(c, h, w)`` that the network takes.
        normalization: Of the pictures in training, or None if nobody knows.
        limit: The most to take; 512 unless given.

    Raises:
        UsageError: The source cannot be read or does not fit, or holds fewer than two images.
    """
    images = open_images(source, input_shape, normalization)
    series = images.training or images.judging
    return _drawn(series, _most(limit))


def divide(
    source: str | Path,
    input_shape: tuple[int, int, int],
    fixed_batch_size: int | None,
    normalization: Normalization | None,
    limit: int | None = None,
) -> Divided:
    """Choose images to calibrate with and others to judge on.

    Of labelled pictures, some of the training calibrate and those for testing judge. Where nothing
    tells them apart, the first half calibrates and all others judge.

    Args:
        source: As ``open_images`` takes it.
        input_shape: ``(c, h, w)`` that the network takes.
        fixed_batch_size: The batch of the model, or None if it is open.
        normalization: Of the pictures in training, or None if nobody knows.
        limit: The most to calibrate with; 512 unless given.

    Raises:
        UsageError: As in ``calibration_images``, or no image is left to judge on.
    """
    images = open_images(source, input_shape, normalization)
    return divide_images(images, fixed_batch_size, limit)


def divide_images(
    images: RealImages, fixed_batch_size: int | None, limit: int | None = None
) -> Divided:
    """Do what ``divide`` does with images that are open already."""
    calibration, judging = _apart(images, _most(limit))
    return without_repeated(calibration, judging.inputs(None), fixed_batch_size)


def divide_training(
    source: str | Path, input_shape: tuple[int, int, int], normalization: Normalization | None
) -> Divided:
    """Choose training pictures to calibrate with; all that are held out judge.

    None of the former equals one of the latter. Networks that are compared are so judged on the
    same pictures, whether they are calibrated or not.

    Args:
        source: Labelled pictures, as ``train`` takes them.
        input_shape: ``(c, h, w)`` that the network takes.
        normalization: Of the pictures in training, or None if nobody knows.

    Raises:
        UsageError: As in ``calibration_images``, or the source does not tell training apart.
    """
    images = open_images(source, input_shape, normalization)
    if images.training is None:
        raise UsageError(f"{source} does not tell which pictures were trained on")
    judging = images.judging.inputs(None)
    held_out = {_digest(image) for image in judging.images}
    drawn = images.training.at(draw(images.training.count, MOST_IMAGES))
    is_new = [_digest(image) not in held_out for b in drawn.batches(BATCH_SIZE) for image in b]
    return Divided(_checked(drawn.at(np.flatnonzero(is_new))), judging)


def without_repeated(
    calibration: CalibrationImages, judging: InputSet, fixed_batch_size: int | None
) -> Divided:
    """Leave out the images to judge on that equal one to calibrate with, to the bit.

    Raises:
        UsageError: No batch is left, or not one image.
    """
    seen = {_digest(image) for batch in calibration.batches(BATCH_SIZE) for image in batch}
    is_new = np.array([_digest(image) not in seen for image in judging.images])
    labels = None if judging.labels is None else judging.labels[is_new]
    if not is_new.any():
        raise UsageError(
            f"{judging.name}: not one is left to judge on, as each equals one that calibrates",
            received=f"{len(is_new)} copies",
            next_step="give pictures that differ",
        )
    repeated_count = int(np.count_nonzero(~is_new))
    note = f", without {repeated_count} that calibrate" if repeated_count else ""
    name = f"{judging.name}{note}"
    return Divided(calibration, batched(name, judging.images[is_new], labels, fixed_batch_size))


def _apart(images: RealImages, most: int) -> tuple[CalibrationImages, ImageSeries]:
    if images.training is not None:
        return _drawn(images.training, most), images.judging
    given = images.judging
    first = min(most, given.count // 2)
    others = replace(given.at(np.arange(first, given.count)), name=f"the others of {given.name}")
    return _checked(given.at(np.arange(first))), others


def _drawn(series: ImageSeries, most: int) -> CalibrationImages:
    return _checked(series.at(draw(series.count, most)))


def _checked(series: ImageSeries) -> CalibrationImages:
    if series.count < FEWEST_IMAGES:
        raise UsageError(
            f"{series.name}: too few are left to calibrate with",
            received=series.count,
            legal=f"{FEWEST_IMAGES} or more, and some hundred to rely on; where nothing tells"
            " training and test apart, at most half calibrate and the others judge",
        )
    return CalibrationImages(series)


def _most(limit: int | None) -> int:
    return MOST_IMAGES if limit is None else limit


def _digest(image: NDArray[np.float32]) -> bytes:
    return hashlib.sha256(_content(image)).digest()


def _content(images: NDArray[np.float32]) -> bytes:
    return np.ascontiguousarray(images, "<f4").tobytes()

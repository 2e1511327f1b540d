"""Images to calibrate with, kept apart from those that judge what came of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.parity.inputs import InputSet

# More images settle the ranges no further, and every one of them costs a run in float.
MOST_IMAGES = 512
FEWEST_IMAGES = 4


@dataclass(frozen=True, eq=False)
class CalibrationImages:
    """Images in memory.

    Attributes:
        images: ``(N, c, h, w)`` float32, prepared as for training.
    """

    images: NDArray[np.float32]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.images)

    @property
    def sha256(self) -> str:
        """Digest of their shape and their numbers, hexadecimal."""
        digest = hashlib.sha256(np.array(self.images.shape, "<i8").tobytes())
        digest.update(np.ascontiguousarray(self.images, "<f4").tobytes())
        return digest.hexdigest()

    def batches(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Yield ``(size, c, h, w)`` after the other; the last may be smaller."""
        for start in range(0, self.count, size):
            yield self.images[start : start + size]


def split_images(
    given: InputSet, fixed_batch_size: int | None
) -> tuple[CalibrationImages, InputSet]:
    """Return the first half of the images to calibrate with, and the others to judge on.

    An image that stands in both halves is left out of the second.

    Args:
        given: All images.
        fixed_batch_size: The batch of the file, or None if it is open; images that do not fill one
            are left out.

    Raises:
        UsageError: There are too few, or all others are among the first.
    """
    images = given.images
    if len(images) < FEWEST_IMAGES:
        raise UsageError(
            f"{given.name} are too few to calibrate with and to judge on",
            received=len(images),
            legal=f"{FEWEST_IMAGES} or more, better some hundred",
        )
    first = min(len(images) // 2, MOST_IMAGES)
    seen = {image.tobytes() for image in images[:first]}
    kept = [i for i in range(first, len(images)) if images[i].tobytes() not in seen]
    batch_size = fixed_batch_size or min(given.batch_size, len(kept))
    kept = kept[: len(kept) // batch_size * batch_size] if fixed_batch_size else kept
    if not kept:
        raise UsageError(f"{given.name}: no image is left to judge on that did not calibrate")
    labels = None if given.labels is None else given.labels[kept]
    judging = replace(
        given,
        name=f"the {len(kept)} others of {given.name}",
        arrays=(images[kept],),
        batch_size=batch_size,
        labels=labels,
    )
    return CalibrationImages(images[:first]), judging

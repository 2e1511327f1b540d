"""Calibrate a network: run it on images and settle the range of every activation and map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from legoexport.compile.stages import Prepared
from legoexport.errors import UsageError
from legoexport.quantize.calibrators import Method
from legoexport.quantize.observe import Observer
from legoexport.quantize.ranges import Ranges
from legoexport.quantize.recording import Recording

Images = NDArray[np.float32]
# Where two halves of the images disagree by more, others would give yet another range.
LARGEST_HALF_DIFFERENCE = 0.20


class ImageSet(Protocol):
    """Images to calibrate with."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    @property
    def sha256(self) -> str:
        """Digest of the images, hexadecimal."""
        ...

    def batches(self, size: int) -> Iterator[Images]:
        """Yield ``(size, c, h, w)`` after the other; the last may be smaller."""
        ...


@dataclass(frozen=True, eq=False)
class Calibration:
    """The ranges of a network and how they came about.

    Attributes:
        ranges: Those of all images.
        method: How they were chosen.
        images_count: How many images were run.
        sha256: Digest of the images, hexadecimal.
        worst_half_difference_ratio: The largest difference between the range of an activation on
            even images and that on odd ones, as a share of the wider.
        worst_value: The activation where it is.
    """

    ranges: Ranges
    method: Method
    images_count: int
    sha256: str
    worst_half_difference_ratio: float
    worst_value: str

    @property
    def few_images_note(self) -> str | None:
        """What to tell a user whose images do not settle the ranges; None if they do."""
        if self.worst_half_difference_ratio <= LARGEST_HALF_DIFFERENCE:
            return None
        return (
            f"too few images: {self.images_count} were used, and the range of {self.worst_value} "
            f"differs by {self.worst_half_difference_ratio:.0%} between one half and the other"
        )


def calibrate(
    prepared: Prepared, batches: Iterable[Images], method: Method, threads: int = 1
) -> Ranges:
    """Return the ranges of a network on all images together.

    Args:
        prepared: The network.
        batches: ``(N, c, h, w)`` after the other, prepared as the network takes them.
        method: How ranges are chosen.
        threads: Threads of ONNX Runtime.

    Raises:
        UsageError: The network does not take one batch of images, or a value is not finite.
    """
    observer = Observer(prepared, threads)
    recording = Recording(observer.observed, method)
    for images in batches:
        _record(observer, images, recording)
    return recording.ranges()


def calibrate_halves(
    prepared: Prepared, images: ImageSet, method: Method, threads: int = 1
) -> Calibration:
    """Calibrate on two halves of the images in one pass, and on all by what the halves recorded.

    Args:
        prepared: The network.
        images: At least two.
        method: How ranges are chosen.
        threads: Threads of ONNX Runtime.

    Raises:
        UsageError: There are fewer than two images, or as in ``calibrate``.
    """
    if images.count < 2:  # noqa: PLR2004
        raise UsageError("calibration needs two images or more", received=images.count)
    observer = Observer(prepared, threads)
    even, odd = (Recording(observer.observed, method) for _ in range(2))
    for batch in images.batches(2 * observer.batch_size):
        _record(observer, batch[0::2], even)
        _record(observer, batch[1::2], odd)
    worst_value, ratio = _worst_difference(even.ranges(), odd.ranges())
    ranges = even.merged(odd).ranges()
    return Calibration(ranges, method, images.count, images.sha256, ratio, worst_value)


def _record(observer: Observer, images: Images, recording: Recording) -> None:
    if len(images) == 0:
        return
    if images.shape[1:] != observer.image_shape:
        raise UsageError(
            "the images have another shape than the network takes",
            received=images.shape[1:],
            legal=observer.image_shape,
        )
    for values in observer.run(images):
        recording.add(values)


def _worst_difference(one: Ranges, other: Ranges) -> tuple[str, float]:
    ratios = {
        name: _difference(ends, other.activations[name]) for name, ends in one.activations.items()
    }
    return max(ratios.items(), key=lambda item: item[1])


def _difference(one: tuple[float, float], other: tuple[float, float]) -> float:
    width = max(max(high, 0.0) - min(low, 0.0) for low, high in (one, other))
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) / width if width else 0.0

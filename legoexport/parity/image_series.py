"""Images that are read when they are needed, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from legoexport.parity.inputs import InputSet, batched

Positions = NDArray[np.int64]
ReadBatches = Callable[[Positions, int], Iterator[NDArray[np.float32]]]
BATCH_SIZE = 32
# What is judged is held in memory, as is all that both sides make of it: 87,381 images of 3x32x32,
# 1,783 of 3x224x224.
MOST_BYTES = 2**30
SEED = 2019


@dataclass(frozen=True, eq=False)
class ImageSeries:
    """Images of one size as the network takes them, and their classes if the source knows them.

    Attributes:
        name: What they are.
        count: How many.
        image_shape: ``(c, h, w)``.
        read: Takes positions in ascending order and a batch size, and gives the images there,
            ``(b, c, h, w)``, batch by batch.
        labels: ``(count,)`` class of each image, or None.
    """

    name: str
    count: int
    image_shape: tuple[int, int, int]
    read: ReadBatches
    labels: NDArray[np.int64] | None = None

    def at(self, positions: Positions) -> ImageSeries:
        """Return the images at these positions, which ascend."""
        return replace(
            self,
            count=len(positions),
            read=lambda inner, size: self.read(positions[inner], size),
            labels=None if self.labels is None else self.labels[positions],
        )

    def batches(self, size: int) -> Iterator[NDArray[np.float32]]:
        """Read all images, ``(b, c, h, w)`` with ``b`` at most ``size``; one batch is held.

        Raises:
            UsageError: An image cannot be read.
        """
        return self.read(np.arange(self.count), size)

    def held(self, read: InputSet) -> ImageSeries:
        """Return the series with its images from memory, if ``read`` has all of them as it does."""
        images = read.images
        if images.shape != (self.count, *self.image_shape) or images.dtype != np.float32:
            return self
        return replace(self, read=in_memory(images))

    def inputs(self, fixed_batch_size: int | None) -> InputSet:
        """Read the images into memory; of more than fit, a part is drawn and the name says so.

        Args:
            fixed_batch_size: The batch of the model, or None if it is open. Images that do not
                fill one are left out.

        Raises:
            UsageError: An image cannot be read, or there are too few for a batch.
        """
        most = max(1, MOST_BYTES // (4 * math.prod(self.image_shape)))
        if self.count > most:
            part = self.at(draw(self.count, most))
            return replace(part, name=f"{most} of {self.count} {self.name}").inputs(
                fixed_batch_size
            )
        images = np.empty((self.count, *self.image_shape), np.float32)
        start = 0
        for batch in self.batches(BATCH_SIZE):
            images[start : start + len(batch)] = batch
            start += len(batch)
        return batched(self.name, images, self.labels, fixed_batch_size)


def in_memory(images: NDArray[np.float32]) -> ReadBatches:
    """Return what reads from ``images (N, c, h, w)``."""

    def read(positions: Positions, size: int) -> Iterator[NDArray[np.float32]]:
        for chosen in chunks(positions, size):
            yield images[chosen]

    return read


def chunks(positions: Positions, size: int) -> Iterator[Positions]:
    """Yield positions in order, ``size`` at a time."""
    for first in range(0, len(positions), size):
        yield positions[first : first + size]


def draw(count: int, wanted: int) -> Positions:
    """Draw positions at random, the same in every run: sources may be sorted by class.

    Args:
        count: How many there are.
        wanted: How many to draw; all if there are not more.

    Returns:
        The positions in ascending order.
    """
    return np.sort(shuffled(count)[:wanted])


def shuffled(count: int) -> Positions:
    """Return all positions in a random order, the same in every run."""
    return np.random.default_rng(SEED).permutation(count)

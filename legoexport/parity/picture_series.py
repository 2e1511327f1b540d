"""Pictures as a network takes them: decoded, scaled to its input and normalised as in training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from legoexport.errors import UsageError
from legoexport.lego.normalization import Normalization
from legoexport.parity.image_series import ImageSeries, Positions, chunks
from legoexport.training.data.decode import Decoder
from legoexport.training.data.folder import decoded, opened


@dataclass(frozen=True)
class NetworkInput:
    """What pictures are made into.

    Attributes:
        input_shape: ``(c, h, w)`` that the network takes.
        normalization: Of the pictures in training, or None if nobody knows.
    """

    input_shape: tuple[int, int, int]
    normalization: Normalization | None

    def seen(self, pixels: NDArray[Any], source: str) -> NDArray[np.float32]:
        """Return images ``(N, c, h, w)`` as the network takes them; floats are so already."""
        if pixels.dtype != np.uint8:
            return pixels.astype(np.float32)
        return self.known_normalization(source).applied(pixels)

    def known_normalization(self, source: str) -> Normalization:
        """Return the normalization.

        Raises:
            UsageError: Nobody knows it.
        """
        if self.normalization is None:
            raise UsageError(
                f"{source} holds pictures, and the checkpoint does not say how training"
                " normalised its pictures",
                next_step="state --mean and --std, or give an .npy or .npz file of images that"
                " are prepared as for training",
            )
        return self.normalization


def series_in_memory(
    source: str, part: str, images: Tensor, labels: Tensor, network: NetworkInput
) -> ImageSeries:
    """Take pictures that are in memory already; only a batch of them is ever normalised at a time.

    Args:
        source: Where they are from.
        part: What they are for, for the name of the series.
        images: ``(N, c, h, w)``, uint8 pixels, or floats as the network takes them.
        labels: ``(N,)`` int64.
        network: What they are made into.
    """
    held = images.numpy()

    def read(positions: Positions, size: int) -> Iterator[NDArray[np.float32]]:
        for chosen in chunks(positions, size):
            yield network.seen(held[chosen], source)

    name = f"{part} images of {Path(source).name}"
    return ImageSeries(name, len(held), network.input_shape, read, labels.numpy())


def series_of_files(
    path: Path,
    name: str,
    files: Sequence[str],
    labels: Sequence[int] | None,
    network: NetworkInput,
) -> ImageSeries:
    """List picture files, which are decoded batch by batch when they are needed.

    Args:
        path: The folder or zip archive.
        name: Of the series.
        files: Their names in it.
        labels: Class of each, or None.
        network: What they are made into.
    """
    channels, height, width = network.input_shape
    decoder = Decoder(channels, (height, width))

    def read(positions: Positions, size: int) -> Iterator[NDArray[np.float32]]:
        with opened(path) as read_file:
            for chosen in chunks(positions, size):
                pixels = decoded([files[at] for at in chosen], read_file, decoder)
                yield network.seen(pixels.numpy(), str(path))

    classes = None if labels is None else np.array(labels, np.int64)
    return ImageSeries(name, len(files), network.input_shape, read, classes)

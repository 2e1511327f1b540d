"""Normalization: how the colours of a picture became the numbers that a network was trained on."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError

GREY_LEVELS = 255
# Of a grey level: what float32 leaves of a whole number that was normalised and is not any more.
WHOLE_TOLERANCE = 1e-2
LEGAL = "as many finite numbers for std as for mean, one a channel, and std above 0"


@dataclass(frozen=True)
class Normalization:
    """``(colour - mean) / std`` for each channel, where colours are in [0, 1].

    Attributes:
        mean: One number per channel.
        std: One positive number per channel.

    Raises:
        UsageError: They are something else.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        finite = all(map(math.isfinite, (*self.mean, *self.std)))
        if not (finite and self.mean and len(self.mean) == len(self.std) and min(self.std) > 0):
            raise UsageError("normalization", received=f"{self.mean}, {self.std}", legal=LEGAL)

    @property
    def grey_levels(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of each channel in grey levels, as training rounds them."""
        mean, std = (
            (GREY_LEVELS * np.array(one)).astype(np.float32).astype(np.float64)
            for one in (self.mean, self.std)
        )
        return mean, std

    def applied(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return pictures ``(N, c, h, w)`` as the network sees them, to the bit as in training.

        Raises:
            UsageError: They have another number of channels.
        """
        if pixels.shape[1] != len(self.mean):
            raise UsageError(
                "the normalization does not fit the pictures",
                received=f"{len(self.mean)} channels",
                legal=pixels.shape[1],
            )
        mean, std = (one.astype(np.float32).reshape(1, -1, 1, 1) for one in self.grey_levels)
        normalised: NDArray[np.float32] = (pixels.astype(np.float32) - mean) / std
        return normalised

    def undone(self, images: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return the pixels ``(N, h, w, c)`` that ``applied`` made images ``(N, c, h, w)`` of.

        Raises:
            UsageError: They are not made of whole grey levels by this normalization.
        """
        mean, std = (one.reshape(1, -1, 1, 1) for one in self.grey_levels)
        if images.shape[1] == mean.shape[1]:
            levels = images.astype(np.float64) * std + mean
            pixels = np.clip(np.rint(levels), 0, GREY_LEVELS)
            if np.abs(levels - pixels).max(initial=0) < WHOLE_TOLERANCE:
                return np.moveaxis(pixels.astype(np.uint8), 1, 3)
        raise UsageError(
            "a file that takes pixels is checked with pixels",
            received="images that are not pixels from 0 to 255, normalised as the file does",
            next_step="give pictures, or arrays that were made of pixels",
        )

    def to_json(self) -> str:
        """Return it as the metadata of a converted file has it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, source: str) -> Normalization:
        """Read what ``to_json`` wrote.

        Raises:
            UsageError: ``text`` is something else; ``source`` is named in the message.
        """
        try:
            record = json.loads(text)
            return cls(_floats(record["mean"]), _floats(record["std"]))
        except (ValueError, KeyError, TypeError, OverflowError, UsageError) as error:
            raise UsageError(f"{source} is damaged", received=error, legal=LEGAL) from None


def _floats(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)

"""One picture from its compressed bytes, by Pillow."""

from __future__ import annotations

import io
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.lego.resampling import MOST_PIXELS

MODES = {1: "L", 3: "RGB"}
# Pillow's modes of 16 and 32 bits and of floats: convert() cuts their values to 0..255.
DEEP_MODES = ("I", "F")


def pillow() -> tuple[Any, Any]:
    """Return Pillow's modules ``Image`` and ``ImageOps``.

    Raises:
        UsageError: It is not installed.
    """
    try:
        from PIL import Image, ImageOps  # noqa: PLC0415 - only pictures need the extra
    except ImportError:
        raise UsageError(
            "decoding and scaling pictures needs Pillow", next_step="pip install legoexport[train]"
        ) from None
    return Image, ImageOps


def fitted(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return pictures ``(N, H, W, c)`` as ``(N, *size, c)``, scaled as ``Decoder`` scales them.

    Raises:
        UsageError: Pillow is not installed.
    """
    image, ops = pillow()
    channels = pixels.shape[3]
    pictures = pixels if channels > 1 else pixels[..., 0]
    scaled = [np.asarray(ops.fit(image.fromarray(one), size[::-1])) for one in pictures]
    return np.stack(scaled).reshape(-1, *size, channels)


@dataclass
class Decoder:
    """Decodes pictures of one size: the size given, or the size of the first.

    Attributes:
        channels: 1 for grey, 3 for colour; pictures are converted.
        size: ``(h, w)`` in pixels that pictures are scaled and cropped to; None: as stored.
    """

    channels: int = 3
    size: tuple[int, int] | None = None
    _common: tuple[str, tuple[int, int]] | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def decode(self, name: str, content: bytes) -> NDArray[np.uint8]:
        """Return ``(h, w, c)`` uint8.

        Raises:
            UsageError: The file is not a picture of 8 bits, or has another size than the others.
        """
        image, ops = pillow()
        try:
            with image.open(io.BytesIO(content)) as opened:
                self._hold_pixels(name, opened.size)
                _hold_depth(name, opened.mode)
                picture = opened.convert(MODES[self.channels])
                if self.size is not None:
                    picture = ops.fit(picture, self.size[::-1])
        except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
            raise UsageError(f"{name} cannot be decoded", received=error) from None
        self._hold_size(name, picture.size)
        array = np.asarray(picture)
        return array if array.ndim == 3 else array[:, :, None]  # noqa: PLR2004 - h, w, c

    def _hold_pixels(self, name: str, size: tuple[int, int]) -> None:
        if size[0] * size[1] > MOST_PIXELS:
            raise UsageError(f"{name} is too large", received=size, legal=f"{MOST_PIXELS} pixels")

    def _hold_size(self, name: str, size: tuple[int, int]) -> None:
        with self._lock:
            self._common = self._common or (name, size)
        first, common = self._common
        if size != common:
            raise UsageError(
                f"{name} and {first} differ in size",
                received=f"{size[0]}x{size[1]} and {common[0]}x{common[1]}",
                next_step="--image-size N scales every picture to N x N",
            )


def _hold_depth(name: str, mode: str) -> None:
    if mode.startswith(DEEP_MODES):
        raise UsageError(
            f"{name} has more than 8 bits a pixel",
            received=f"Pillow's mode {mode}",
            legal="8 bits a channel",
            next_step="scale its values to 0..255 and save it with 8 bits",
        )

"""PNG files of pixels: without loss, read by every decoder, the same bytes from any machine."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
BITS = 8
GREY, RGB = 0, 2
COLOUR_TYPES = {1: GREY, 3: RGB}
# Deflate, the one set of filters there is, and no interlacing.
METHODS = (0, 0, 0)
UNFILTERED = 0
# Of zlib: what all versions take for their default.
LEVEL = 6


def to_png(pixels: NDArray[np.uint8]) -> bytes:
    """Return a PNG file.

    Args:
        pixels: ``(h, w, c)``, 1 channel for grey or 3 for RGB.
    """
    height, width, channels = pixels.shape
    header = struct.pack(">IIBB3B", width, height, BITS, COLOUR_TYPES[channels], *METHODS)
    rows = np.full((height, 1 + width * channels), UNFILTERED, np.uint8)
    rows[:, 1:] = pixels.reshape(height, -1)
    content = zlib.compress(rows.tobytes(), LEVEL)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", content) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    checked = name + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

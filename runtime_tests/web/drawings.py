"""Pictures for the page: digits as a person draws them, and files that need no library to write."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

Point = tuple[float, float]
Stroke = list[Point]


def arc(cx: float, cy: float, rx: float, ry: float, start: float, end: float) -> Stroke:  # noqa: PLR0917
    """Points on an ellipse; angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * i / 16) for i in range(17)]
    return [(cx + rx * math.cos(angle), cy + ry * math.sin(angle)) for angle in angles]


def write_bmp(path: Path, colours: np.ndarray) -> Path:
    """Write ``(h, w, 3)`` uint8, red first; the width must be a multiple of four."""
    height, width, _ = colours.shape
    assert width % 4 == 0, "rows would need padding"
    pixels = colours[::-1, :, ::-1].tobytes()
    header = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    path.write_bytes(header + info + pixels)
    return path


DIGITS: dict[int, list[Stroke]] = {
    0: [arc(0.5, 0.5, 0.22, 0.35, -90, 270)],
    1: [[(0.4, 0.3), (0.52, 0.15), (0.52, 0.85)]],
    2: [[*arc(0.5, 0.33, 0.2, 0.18, -170, 40), (0.3, 0.85), (0.72, 0.85)]],
    3: [[*arc(0.47, 0.33, 0.2, 0.17, -150, 90), *arc(0.47, 0.67, 0.22, 0.18, -90, 150)]],
    4: [[(0.6, 0.15), (0.28, 0.62), (0.75, 0.62)], [(0.6, 0.4), (0.6, 0.85)]],
    5: [[(0.7, 0.15), (0.35, 0.15), (0.33, 0.45), *arc(0.48, 0.63, 0.22, 0.22, -120, 150)]],
    6: [[(0.62, 0.15), (0.42, 0.35), *arc(0.49, 0.66, 0.19, 0.19, 190, 540)]],
    7: [[(0.28, 0.18), (0.72, 0.18), (0.5, 0.5), (0.42, 0.85)], [(0.35, 0.5), (0.65, 0.5)]],
    8: [[*arc(0.5, 0.32, 0.16, 0.17, 90, 450), *arc(0.5, 0.67, 0.2, 0.18, -90, 270)]],
    9: [[*arc(0.48, 0.34, 0.19, 0.19, 0, -360), (0.66, 0.4), (0.64, 0.85)]],
}

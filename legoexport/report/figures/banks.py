"""Picture: the Lego filters of a bank, weight by weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from legoexport.report.facts import LayerMasks
from legoexport.report.figures.style import Picture, drawing, to_svg

# Pixels of all banks of a page together, so that a deep network's page stays small.
PIXELS_BUDGET = 200_000
MOST_PIXELS = 96


def side_pixels(layers_count: int) -> int:
    """Return how many pixels wide and high the picture of each bank may be."""
    return min(MOST_PIXELS, int((PIXELS_BUDGET / max(1, layers_count)) ** 0.5))


def draw_bank(layer: LayerMasks, name: str, side: int) -> Picture:
    """Draw the first filters of a bank, a row each; a tile is a channel.

    Args:
        layer: The layer.
        name: What the identifiers of the drawing start with.
        side: Pixels that the picture may be wide and high.
    """
    lego = layer.frozen.lego
    tiles = tile(lego, side)
    shown = _shown(lego.shape, side)
    largest = float(np.abs(lego).max()) or 1.0
    whole = f"{lego.shape[0]} Lego filters of {lego.shape[1]} channels"
    description = f"Bank of {layer.audit.layer}: {whole}, weights up to {largest:.3g} in magnitude"
    with drawing(3.4) as (figure, (axes,)):
        axes.imshow(
            tiles, aspect="auto", cmap="coolwarm", interpolation="none", vmin=-largest, vmax=largest
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_xlabel("channel of the fragment")
        axes.set_ylabel("Lego filter")
        svg = to_svg(figure, name, description)
    part = (
        "" if shown == lego.shape[:2] else f"The first {shown[0]} filters and {shown[1]} channels. "
    )
    kernel = "x".join(map(str, lego.shape[2:]))
    note = (
        f"{part}{whole}, a tile of {kernel} weights each. Red: positive, blue: negative, to"
        f" {largest:.3g}."
    )
    return Picture(layer.audit.layer, description, note, svg)


def tile(lego: NDArray[np.floating], side: int) -> NDArray[np.floating]:
    """Lay the kernels out, filters downwards and channels to the right, NaN between them.

    Args:
        lego: The bank, ``(m, c/o, kh, kw)``.
        side: Pixels that the picture may be wide and high.
    """
    filters, channels = _shown(lego.shape, side)
    part = lego[:filters, :channels]
    gap = int(max(lego.shape[2:]) > 1)
    padded = np.pad(part, ((0, 0), (0, 0), (0, gap), (0, gap)), constant_values=np.nan)
    _, _, height, width = padded.shape
    return padded.transpose(0, 2, 1, 3).reshape(filters * height, channels * width)


def _shown(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    m, channels, height, width = shape
    gap = int(max(height, width) > 1)
    return min(m, max(1, side // (height + gap))), min(channels, max(1, side // (width + gap)))

"""How the pictures look: Okabe and Ito's colours, which colour-blind readers tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.labels import (
    DEFAULT,
    DENSE,
    DENSE_FP32,
    DENSE_INT8,
    GROUPED,
    LEGO_FP32,
    LEGO_INT8,
    LEGO_STORED,
    NAIVE,
    TUNED,
)

BLACK, GREY = "#000000", "#6b6b6b"
ORANGE, SKY, GREEN, BLUE, RED, PINK = (
    "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
COLOURS = {DENSE: GREY, NAIVE: ORANGE, GROUPED: SKY, DEFAULT: GREEN, TUNED: BLUE}
PEER_COLOURS = {"MNN": RED, "OpenVINO": PINK}
PART_COLOURS = {"transform": BLUE, "merge": ORANGE, "reorder": RED, "": "#d0d0d0"}
# Colour, marker, and whether it is filled: dense networks are hollow, integers are round.
PRECISION_MARKS = {
    DENSE_FP32: (GREY, "s", False),
    DENSE_INT8: (BLACK, "o", False),
    LEGO_FP32: (GREEN, "s", True),
    LEGO_STORED: (ORANGE, "D", True),
    LEGO_INT8: (BLUE, "o", True),
}
SETTINGS: dict[Any, Any] = {  # its keys are typed as literals
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "svg.hashsalt": "legoexport",  # the same records give the same bytes
    "svg.fonttype": "path",
}
INCH_WIDTH = 9.0


def new_figure(
    rows_count: int, columns_count: int, inch_height: float
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure and its axes, row by row."""
    mpl.rcParams.update(SETTINGS)
    figure = Figure(figsize=(INCH_WIDTH, inch_height), layout="constrained")
    axes = figure.subplots(rows_count, columns_count, squeeze=False)
    return figure, list(axes.flat)


def colour_of(label: str) -> str:
    """Return the colour of a model; other runtimes have one each, whatever they run."""
    return PEER_COLOURS.get(label.partition(",")[0], COLOURS.get(label, BLACK))


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Return heights near ``heights`` that are at least ``gap`` apart, in the same order."""
    placed: dict[int, float] = {}
    last = -inf
    for i in sorted(range(len(heights)), key=lambda i: heights[i]):
        last = max(heights[i], last + gap)
        placed[i] = last
    return [placed[i] for i in range(len(heights))]


def save(figure: Figure, path: Path) -> None:
    """Write the figure as SVG, without the date that would change its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})

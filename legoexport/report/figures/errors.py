"""Picture: the error of each layer as a share of its limit, on a logarithmic axis."""

from __future__ import annotations

from math import isfinite

from matplotlib.ticker import FuncFormatter, NullFormatter

from legoexport.parity.verification import Verification
from legoexport.report.figures.style import (
    FAINT,
    LIMIT,
    TRANSFORM,
    Picture,
    drawing,
    row_inches,
    short,
    to_svg,
)

LEAST_RATIO, MOST_RATIO = 1e-6, 1e6


def draw_errors(found: Verification, name: str) -> Picture:
    """Draw a line to the error of every Lego layer and set of images; the limit is 1.

    Args:
        found: The verdict.
        name: What the identifiers of the drawing start with.
    """
    ratios = {f"outputs: {key}": one.limit_ratio for key, one in found.agreements.items()}
    ratios = {key: ratio for key, ratio in ratios.items() if ratio > 0}
    ratios |= {one.layer: one.limit_ratio for one in found.layers}
    good = sum(ratio <= 1 for ratio in ratios.values())
    description = f"Error over limit: {good} of {len(ratios)} are within their limits"
    shown = [_shown(ratio) for ratio in ratios.values()]
    with drawing(row_inches(len(ratios))) as (figure, (axes,)):
        rows = range(len(ratios))
        axes.hlines(rows, min([*shown, 1e-3]) / 3, shown, color=FAINT, linewidth=0.8)
        for passed, colour, marker in ((True, TRANSFORM, "o"), (False, LIMIT, "X")):
            at = [row for row in rows if (shown[row] <= 1) is passed]
            axes.plot([shown[row] for row in at], at, marker, color=colour)
        axes.axvline(1, color=LIMIT, linestyle="--", linewidth=1.2)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(rows, [short(key) for key in ratios])
        axes.invert_yaxis()
        axes.set_xlabel("largest error / limit (dashed: the limit)")
        svg = to_svg(figure, name, description)
    note = (
        "Each layer is judged alone, on the input that it really got, against PyTorch float64."
        " Right of the dashed line a check fails."
    )
    if min(ratios.values(), default=1) < LEAST_RATIO:
        note += " What has no error at all stands at the left end."
    return Picture("Error by layer, against its limit", description, note, svg)


def _shown(ratio: float) -> float:
    """Return what a logarithmic axis can show: no error stands at its left end."""
    return min(MOST_RATIO, max(LEAST_RATIO, ratio)) if isfinite(ratio) else MOST_RATIO

"""Picture: what rounding costs each layer, by its weights, by its activations, and by both."""

from __future__ import annotations

from collections.abc import Sequence

from legoexport.quantize.cost import LayerCost
from legoexport.quantize.view import has_integers
from legoexport.report.figures.style import (
    LIMIT,
    MERGE,
    TRANSFORM,
    Picture,
    drawing,
    row_inches,
    short,
    to_svg,
)

# What each mark stands for: the attribute, the colour and the marker.
WEIGHTS = "weights alone"
MARKS = {
    WEIGHTS: ("sqnr_weights_db", TRANSFORM, "s"),
    "activations alone": ("sqnr_activations_db", MERGE, "^"),
    "both": ("sqnr_both_db", LIMIT, "o"),
}


def draw_precision(costs: Sequence[LayerCost], name: str, title: str) -> Picture:
    """Draw a mark for each part of the cost of each layer, on an axis in decibels.

    Args:
        costs: The layers.
        name: What the identifiers of the drawing start with.
        title: Heading of the picture.
    """
    description = _description(costs)
    # A file that only stores its weights in fewer bits changes nothing else.
    marks = dict(MARKS) if has_integers(costs) else {WEIGHTS: MARKS[WEIGHTS]}
    with drawing(0.3 + row_inches(len(costs))) as (figure, (axes,)):
        for label, (attribute, colour, marker) in marks.items():
            values = [getattr(one, attribute) for one in costs]
            rows = [row for row, value in enumerate(values) if value is not None]
            shown = [values[row] for row in rows]
            axes.plot(shown, rows, marker, color=colour, label=label, markersize=5)
        names = [f"{short(one.module or one.layer)}, {one.computes}" for one in costs]
        axes.set_yticks(range(len(costs)), names)
        axes.set_ylim(len(costs) - 0.5, -0.5)
        axes.grid(axis="y", linewidth=0.4)
        axes.set_xlabel("SQNR, dB")
        figure.legend(loc="outside upper left", ncols=3, frameon=False, handlelength=1)
        svg = to_svg(figure, name, description)
    note = (
        "Further right is better: the power of a layer's output over that of the change. A layer"
        " without a mark is not changed."
    )
    return Picture(title, description, note, svg)


def _description(costs: Sequence[LayerCost]) -> str:
    in_int8 = sum(one.computes == "int8" for one in costs)
    worst = min((one.sqnr_both_db for one in costs if one.sqnr_both_db is not None), default=None)
    least = "" if worst is None else f"; the least SQNR is {worst:.1f} dB"
    return f"{in_int8} of {len(costs)} layers compute in int8{least}"

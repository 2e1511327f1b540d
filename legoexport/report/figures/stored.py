"""Picture: where the bytes of two files go."""

from __future__ import annotations

from collections.abc import Mapping

from legoexport.host.report import format_bytes
from legoexport.inspect.inventory import StoredBytes
from legoexport.report.figures.style import (
    MERGE,
    MOVEMENT,
    OTHER,
    TRANSFORM,
    Picture,
    drawing,
    row_inches,
    to_svg,
)

PARTS = {
    "banks": ("bank_bytes", TRANSFORM),
    "tables": ("table_bytes", MERGE),
    "dense layers": ("dense_bytes", OTHER),
    "graph": ("graph_bytes", MOVEMENT),
}


def draw_stored(files: Mapping[str, StoredBytes], name: str) -> Picture:
    """Draw a bar for each file.

    Args:
        files: What each stores, by its name.
        name: What the identifiers of the drawing start with.
    """
    description = "; ".join(
        f"{file}: {format_bytes(one.total_bytes)}" for file, one in files.items()
    )
    with drawing(0.3 + row_inches(2 * len(files))) as (figure, (axes,)):
        lefts = [0.0] * len(files)
        for label, (attribute, colour) in PARTS.items():
            widths = [getattr(one, attribute) / 1e6 for one in files.values()]
            axes.barh(range(len(files)), widths, 0.5, lefts, color=colour, label=label)
            lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
        axes.set_yticks(range(len(files)), list(files))
        axes.invert_yaxis()
        axes.set_xlabel("MB")
        figure.legend(loc="outside upper left", ncols=4, frameon=False, handlelength=1)
        svg = to_svg(figure, name, description)
    return Picture("Where the bytes go", description, f"{description}.", svg)

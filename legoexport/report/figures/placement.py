"""Picture: how much of the graph each execution provider takes, and in how many pieces."""

from __future__ import annotations

from collections.abc import Sequence

from legoexport.ort.partitions import Partitions
from legoexport.report.figures.style import OTHER, TRANSFORM, Picture, drawing, row_inches, to_svg


def draw_partitions(partitions: Sequence[Partitions], name: str, whose: str = "") -> Picture:
    """Draw a bar for each mobile provider: nodes that it takes, and nodes that stay on the CPU.

    Args:
        partitions: What each takes.
        name: What the identifiers of the drawing start with.
        whose: The file, where a page has several.
    """
    description = "; ".join(map(str, partitions))
    with drawing(0.5 + row_inches(2 * len(partitions))) as (figure, (axes,)):
        for row, one in enumerate(partitions):
            left = one.nodes_count - one.placed_count
            first = row == 0
            axes.barh(row, one.placed_count, 0.5, color=TRANSFORM, label="taken" if first else None)
            axes.barh(
                row, left, 0.5, one.placed_count, color=OTHER, label="on the CPU" if first else None
            )
            pieces = "partition" if one.partitions_count == 1 else "partitions"
            text = f"{one.placed_count} of {one.nodes_count} nodes, {one.partitions_count} {pieces}"
            axes.text(0, row - 0.32, text, va="bottom")
        axes.set_yticks(range(len(partitions)), [one.provider for one in partitions])
        axes.set_ylim(len(partitions) - 0.5, -0.8)
        axes.set_xlabel("nodes after constant folding")
        figure.legend(loc="outside upper left", ncols=2, frameon=False, handlelength=1)
        svg = to_svg(figure, name, description)
    note = "By the tables of ONNX Runtime's usability checker; no phone was asked."
    title = f"What mobile providers take{f' of {whose}' if whose else ''}"
    return Picture(title, description, note, svg)

"""The figures of a sweep: accuracy against parameters, as in the paper, and against what it costs.

Each says its budget: an accuracy after few epochs is not that of a finished training.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from legoexport.atomic import write_bytes
from legoexport.report import format_count
from legoexport.sweep.table import Row

FORMATS = ("png", "svg")
PIXELS_PER_INCH = 150
# Okabe and Ito's colours, told apart with any colour vision; a fragment count each.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
DENSE_COLOUR = "#444444"


@dataclass(frozen=True)
class Axis:
    """What a figure draws accuracy against.

    Attributes:
        label: With its unit.
        value: Of a row.
    """

    label: str
    value: Callable[[Row], float]


PARAMETERS = Axis("parameters (weights + coefficients)", lambda row: row.parameters_count)
FILE_SIZE = Axis("ONNX file, MB", lambda row: row.size_bytes / 1e6)


def latency_axis(threads: int) -> Axis:
    """Return the axis of measured latency."""
    label = f"median latency of one image, ms, {threads} thread{'s' if threads > 1 else ''}"
    return Axis(label, lambda row: row.latency_ms)


def draw_parameters(folder: Path, table: Sequence[Row], caption: str) -> tuple[Path, ...]:
    """Draw the paper's figure: accuracy against parameters, with and without coefficients."""
    return _draw(folder / "parameters", table, (PARAMETERS,), caption)


def draw_deployment(
    folder: Path, table: Sequence[Row], caption: str, threads: int
) -> tuple[Path, ...]:
    """Draw accuracy against measured latency and against the size of the converted file."""
    return _draw(folder / "deployment", table, (latency_axis(threads), FILE_SIZE), caption)


def _draw(stem: Path, table: Sequence[Row], axes: Sequence[Axis], caption: str) -> tuple[Path, ...]:
    # Text stays text, ids come from the content: the same table gives the same SVG file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "legoexport", "font.size": 10}):
        figure = Figure(figsize=(1 + 5.5 * len(axes), 4.8), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(1, len(axes), sharey=True, squeeze=False)[0]
        for panel, axis in zip(panels, axes, strict=True):
            _panel(panel, table, axis)
        panels[0].set_ylabel("accuracy on held-out pictures, %")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
        figure.supxlabel(caption, fontsize=8, color=DENSE_COLOUR)
        return tuple(_save(figure, stem, suffix) for suffix in FORMATS)


def _panel(panel: Axes, table: Sequence[Row], axis: Axis) -> None:
    lego = [row for row in table if not row.design.is_dense]
    o_values = sorted({row.design.o or 0 for row in lego})
    for o, colour in zip(o_values, COLOURS * len(o_values), strict=False):
        for coefficients in (True, False):
            line = [r for r in lego if (r.design.o, r.design.coefficients) == (o, coefficients)]
            if line:
                _line(panel, line, axis, colour)
    for row in table:
        if row.design.is_dense:
            _dense(panel, row, axis)
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel(axis.label)
    panel.grid(visible=True, color="#dddddd", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _line(panel: Axes, line: Sequence[Row], axis: Axis, colour: str) -> None:
    design = line[0].design
    panel.errorbar(
        [axis.value(row) for row in line],
        [100 * row.accuracy for row in line],
        yerr=_spread(line),
        color=colour,
        linestyle="-" if design.coefficients else "--",
        marker="o",
        markerfacecolor=colour if design.coefficients else "white",
        capsize=2.5,
        linewidth=1.5,
        elinewidth=0.8,
        label=f"o={design.o}, {'with' if design.coefficients else 'without'} coefficients",
    )
    if design.coefficients:
        for row in line:
            panel.annotate(
                f"m={row.design.m_ratio:g}",
                (axis.value(row), 100 * row.accuracy),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=colour,
            )


def _dense(panel: Axes, row: Row, axis: Axis) -> None:
    panel.axhline(100 * row.accuracy, color=DENSE_COLOUR, linewidth=0.6, linestyle=":")
    panel.errorbar(
        [axis.value(row)],
        [100 * row.accuracy],
        yerr=_spread([row]),
        color=DENSE_COLOUR,
        marker="s",
        linestyle="none",
        capsize=2.5,
        elinewidth=0.8,
        label="dense twin",
    )


def _spread(line: Sequence[Row]) -> list[float] | None:
    spread = [row.accuracy_std for row in line]
    return None if None in spread else [100 * (each or 0.0) for each in spread]


def _short(value: float) -> str:
    return format_count(value).replace(" ", "") if value >= 1 else f"{value:g}"


def _save(figure: Figure, stem: Path, suffix: str) -> Path:
    path, content = stem.with_suffix(f".{suffix}"), io.BytesIO()
    metadata = {"Date": None} if suffix == "svg" else {"Software": None}
    figure.savefig(content, format=suffix, dpi=PIXELS_PER_INCH, metadata=metadata)
    write_bytes(path, content.getvalue())
    return path

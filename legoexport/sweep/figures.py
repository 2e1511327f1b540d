"""The figures of a sweep: accuracy against parameters, as in the paper, and against what it costs.

Each says its budget: after few epochs the accuracy is not what a finished training reaches.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from legoexport.host.atomic import write_bytes
from legoexport.host.report import format_count
from legoexport.lego.scales import Precision
from legoexport.sweep.grid import Design
from legoexport.sweep.table import Row

FORMATS = ("png", "svg")
PIXELS_PER_INCH = 150
# Okabe and Ito's colours, distinct in any colour vision; each number of fragments has one.
MARKERS = ("^", "o", "s", "P", "v")
DENSE_MARKER = "*"
THIN_MARKER = "X"
# Within a decade or two, ticks at these multiples stay apart.
TICKS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
DENSE_COLOUR = "#444444"
FRONT_COLOUR = "#f0c000"
INT8_SIZE_RATIO = 0.7


@dataclass(frozen=True)
class Axis:
    """What a figure draws accuracy against.

    Attributes:
        label: The label of the axis, with its unit.
        value: The value that a row of the table has.
    """

    label: str
    value: Callable[[Row], float]


PARAMETERS = Axis("parameters (weights + coefficients)", lambda row: row.parameters_count)
FILE_SIZE = Axis("ONNX file, MB", lambda row: row.size_bytes / 1e6)


@dataclass(frozen=True)
class Style:
    """A colour for each o, a marker for each m, hollow and dashed without coefficients.

    What computes in int8 is small and has a dotted line.

    Attributes:
        lines: o and coefficients of each line.
        m_ratios: ``m_ratio`` of the points, ascending.
        has_thin: Whether there are thin dense networks.
        precisions: What files compute in.
    """

    lines: tuple[tuple[int, bool], ...]
    m_ratios: tuple[float, ...]
    has_thin: bool
    precisions: tuple[Precision, ...]

    @classmethod
    def of(cls, table: Sequence[Row]) -> Style:
        """Return the style that tells all rows apart."""
        designs = [row.design for row in table]
        lines = {(d.o, d.coefficients) for d in designs if d.o and d.coefficients is not None}
        m_ratios = {d.m_ratio for d in designs if d.m_ratio is not None}
        return cls(
            tuple(sorted(lines, key=lambda each: (each[0], not each[1]))),
            tuple(sorted(m_ratios)),
            any(design.width != 1 for design in designs),
            tuple(dict.fromkeys(row.precision for row in table)),
        )

    def colour(self, row: Row) -> str:
        """Return the colour of a point and its line."""
        if row.design.is_dense:
            return DENSE_COLOUR
        o_values = sorted({o for o, _ in self.lines})
        return COLOURS[o_values.index(row.design.o or 0) % len(COLOURS)]

    def marker(self, row: Row) -> str:
        """Return the marker of a point."""
        if row.design.m_ratio is None:
            return DENSE_MARKER if row.design.width == 1 else THIN_MARKER
        return MARKERS[self.m_ratios.index(row.design.m_ratio) % len(MARKERS)]

    def keys(self) -> list[Line2D]:
        """Return what the legend shows."""
        o_values = sorted({o for o, _ in self.lines})
        lines = [
            Line2D(
                *([], []),
                color=COLOURS[o_values.index(o) % len(COLOURS)],
                linestyle="-" if coefficients else "--",
                label=f"o={o}, {'with' if coefficients else 'without'} coefficients",
            )
            for o, coefficients in self.lines
        ]
        markers = {f"m={m:g}": MARKERS[i % len(MARKERS)] for i, m in enumerate(self.m_ratios)}
        markers["dense twin"] = DENSE_MARKER
        if self.has_thin:
            markers["dense, fewer channels"] = THIN_MARKER
        points = [
            Line2D([], [], color=DENSE_COLOUR, linestyle="none", marker=marker, label=label)
            for label, marker in markers.items()
        ]
        front = Line2D([], [], color=FRONT_COLOUR, linewidth=5, alpha=0.5, label="front")
        return [*lines, *points, *self._precision_keys(), front]

    def _precision_keys(self) -> list[Line2D]:
        if len(self.precisions) == 1:
            return []
        size = mpl.rcParams["lines.markersize"] * INT8_SIZE_RATIO
        style = {"linestyle": ":", "marker": MARKERS[1], "markersize": size}
        return [Line2D([], [], color=DENSE_COLOUR, label="in int8", **style)]


def latency_axis(threads: int) -> Axis:
    """Return the axis of measured latency."""
    label = f"median latency of one image, ms, {threads} thread{'s' if threads > 1 else ''}"
    return Axis(label, lambda row: row.latency_ms)


def draw_parameters(folder: Path, table: Sequence[Row], caption: str) -> tuple[Path, ...]:
    """Draw the paper's figure: accuracy against parameters, with and without coefficients.

    What files compute in changes no parameter, so that one precision is drawn.
    """
    first = [row for row in table if row.precision == table[0].precision]
    return _draw(folder / "parameters", first, (PARAMETERS,), caption)


def draw_deployment(
    folder: Path, table: Sequence[Row], caption: str, threads: int
) -> tuple[Path, ...]:
    """Draw accuracy against measured latency and against the size of the converted file."""
    return _draw(folder / "deployment", table, (latency_axis(threads), FILE_SIZE), caption)


def _draw(stem: Path, table: Sequence[Row], axes: Sequence[Axis], caption: str) -> tuple[Path, ...]:
    # Text stays text and ids come from the content, so the same table gives the same SVG file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "legoexport", "font.size": 10}):
        figure = Figure(figsize=(1 + 5.5 * len(axes), 4.8), layout="constrained")
        FigureCanvasAgg(figure)
        style = Style.of(table)
        panels = figure.subplots(1, len(axes), sharey=True, squeeze=False)[0]
        for panel, axis in zip(panels, axes, strict=True):
            _panel(panel, table, axis, style)
        panels[0].set_ylabel(f"accuracy on {table[0].test_count:,} held-out pictures, %")
        columns = 3 if len(axes) == 1 else 4
        figure.legend(
            handles=style.keys(), loc="outside upper center", ncols=columns, frameon=False
        )
        figure.supxlabel(caption, fontsize=8, color=DENSE_COLOUR)
        return tuple(_save(figure, stem, suffix) for suffix in FORMATS)


def _panel(panel: Axes, table: Sequence[Row], axis: Axis, style: Style) -> None:
    _front(panel, table, axis)
    for precision in style.precisions:
        rows = [row for row in table if row.precision == precision]
        for o, coefficients in style.lines:
            line = [r for r in rows if (r.design.o, r.design.coefficients) == (o, coefficients)]
            _line(panel, line, axis, style)
        dense = [row for row in rows if row.design.is_dense]
        _line(panel, sorted(dense, key=lambda row: row.design.width), axis, style)
    for row in table:
        _point(panel, row, axis, style)
        if row.design == Design() and row.precision == style.precisions[0]:
            panel.axhline(100 * row.accuracy, color=DENSE_COLOUR, linewidth=0.6, linestyle=":")
    panel.set_xscale("log")
    panel.margins(x=0.08)
    panel.xaxis.set_major_locator(LogLocator(subs=TICKS))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel(axis.label)
    panel.grid(visible=True, color="#dddddd", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _front(panel: Axes, table: Sequence[Row], axis: Axis) -> None:
    """Draw the best accuracy up to each place: what lies below is beaten in these two."""
    ascending = sorted(table, key=lambda row: (axis.value(row), -row.accuracy))
    best = accumulate((100 * row.accuracy for row in ascending), max)
    values = [axis.value(row) for row in ascending]
    panel.step(values, [*best], where="post", color=FRONT_COLOUR, linewidth=5, alpha=0.5, zorder=0)


def _line(panel: Axes, line: Sequence[Row], axis: Axis, style: Style) -> None:
    dashes = "--" if line[0].design.coefficients is False else "-"
    panel.plot(
        [axis.value(row) for row in line],
        [100 * row.accuracy for row in line],
        color=style.colour(line[0]),
        linestyle=":" if line[0].precision == "int8" else dashes,
    )


def _point(panel: Axes, row: Row, axis: Axis, style: Style) -> None:
    spread = None if row.accuracy_std is None else [100 * row.accuracy_std]
    colour, is_hollow = style.colour(row), row.design.coefficients is False
    is_small = row.precision == "int8" and len(style.precisions) > 1
    _, caps, bars = panel.errorbar(
        [axis.value(row)],
        [100 * row.accuracy],
        yerr=spread,
        color=colour,
        linestyle="none",
        marker=style.marker(row),
        markerfacecolor="white" if is_hollow else colour,
        markersize=mpl.rcParams["lines.markersize"] * (INT8_SIZE_RATIO if is_small else 1),
        capsize=2.5,
        elinewidth=0.8,
    )
    for part in (*caps, *bars):
        part.set_alpha(0.45)


def _short(value: float) -> str:
    return format_count(value).replace(" ", "") if value >= 1 else f"{value:g}"


def _save(figure: Figure, stem: Path, suffix: str) -> Path:
    path, content = stem.with_suffix(f".{suffix}"), io.BytesIO()
    metadata = {"Date": None} if suffix == "svg" else {"Software": None}
    figure.savefig(content, format=suffix, dpi=PIXELS_PER_INCH, metadata=metadata)
    write_bytes(path, content.getvalue())
    return path

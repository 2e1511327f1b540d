"""Picture: where the time of a run goes, layer by layer and part by part, beside dense."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from matplotlib.artist import Artist
from matplotlib.axes import Axes

from legoexport.lego.names import call_name
from legoexport.measure.attribution import OTHER as OUTSIDE
from legoexport.measure.profile import Profile
from legoexport.report.figures.style import (
    INK,
    MERGE,
    MOVEMENT,
    OTHER,
    TRANSFORM,
    WEIGHTS,
    Picture,
    drawing,
    row_inches,
    short,
    to_svg,
)

# Parts as profiles call them: what the legend says, and the colour.
PARTS = {
    "": ("outside the Lego layers", OTHER),
    "transform": ("transform", TRANSFORM),
    "merge": ("merge", MERGE),
    "reorder": ("movement", MOVEMENT),
    "weights": ("weights", WEIGHTS),
}
DENSE = "dense network"
# Bars of the file and, thinner and below, of the dense network.
OWN_HEIGHT, DENSE_HEIGHT = 0.5, 0.26
Parts = Mapping[str, float]


@dataclass(frozen=True)
class Bar:
    """A row of the picture.

    Attributes:
        label: What it is.
        parts: Milliseconds of the file, by part.
        dense_ms: Milliseconds of the dense network, where they are known.
    """

    label: str
    parts: Parts
    dense_ms: float | None = None


def draw_latency(own: Profile, dense: Profile | None, name: str) -> Picture:
    """Draw the whole run, and below every layer, each beside the dense network.

    Args:
        own: A profiled run of the file.
        dense: One of the dense network.
        name: What the identifiers of the drawing start with.
    """
    whole, layers = whole_bar(own, dense), layer_bars(own, dense)
    with drawing(1.3, row_inches(1.4 * len(layers))) as (figure, (above, below)):
        _bars(above, [whole])
        _bars(below, layers)
        below.set_xlabel("ms in a profiled run")
        found = {label: bar for axes in (above, below) for bar, label in _legend(axes)}
        figure.legend(
            found.values(), found, loc="outside upper left", ncols=3, frameon=False, handlelength=1
        )
        description = _description(whole)
        svg = to_svg(figure, name, description)
    note = "Profiling slows a run: compare bars with each other, not with the latency above."
    if dense is not None:
        note += " The dense network's bar of a layer is that of the convolution in its place."
    return Picture("Time by layer and part", description, note, svg)


def whole_bar(own: Profile, dense: Profile | None) -> Bar:
    """Return the whole run, by part."""
    parts: dict[str, float] = {}
    for share in own.by_layer:
        parts[share.part] = parts.get(share.part, 0.0) + share.time_ms
    return Bar("whole run", parts, None if dense is None else dense.total_ms)


def layer_bars(own: Profile, dense: Profile | None) -> list[Bar]:
    """Return the Lego layers in order of execution, and what is outside of them."""
    layers: dict[str, dict[str, float]] = {}
    for share in own.by_layer:
        layers.setdefault(share.name, {})[share.part] = share.time_ms
    outside = layers.pop(OUTSIDE[0], {})
    modules = {one.name: one.time_ms for one in dense.by_module} if dense else {}
    # A layer that is called twice is one convolution's weight, whose time is that of both calls.
    known = {layer: modules.get(layer) for layer in layers if call_name(layer, 2) not in layers}
    bars = [Bar(layer, parts, known.get(layer)) for layer, parts in layers.items()]
    if dense is None or any(bar.dense_ms is None for bar in bars):
        return [*bars, Bar("outside", outside)]
    rest_ms = dense.total_ms - sum(bar.dense_ms or 0.0 for bar in bars)
    return [*bars, Bar("outside", outside, rest_ms)]


def _description(whole: Bar) -> str:
    parts = ", ".join(
        f"{label} {whole.parts[part]:.3f} ms"
        for part, (label, _) in PARTS.items()
        if part in whole.parts
    )
    beside = "" if whole.dense_ms is None else f"; the dense network {whole.dense_ms:.3f} ms"
    return f"A profiled run takes {sum(whole.parts.values()):.3f} ms: {parts}{beside}"


def _bars(axes: Axes, bars: Sequence[Bar]) -> None:
    lefts = [0.0] * len(bars)
    rows = range(len(bars))
    for part, (label, colour) in PARTS.items():
        widths = [bar.parts.get(part, 0.0) for bar in bars]
        if any(widths):
            axes.barh(rows, widths, OWN_HEIGHT, lefts, color=colour, label=label)
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    beside = [row for row in rows if bars[row].dense_ms is not None]
    below = [row + (OWN_HEIGHT + DENSE_HEIGHT) / 2 for row in beside]
    if beside:
        widths = [bars[row].dense_ms or 0.0 for row in beside]
        axes.barh(below, widths, DENSE_HEIGHT, fill=False, edgecolor=INK, lw=0.8, label=DENSE)
    axes.set_yticks(rows, [short(bar.label) for bar in bars])
    axes.set_ylim(len(bars) - 0.3, -0.5)


def _legend(axes: Axes) -> Iterator[tuple[Artist, str]]:
    handles, labels = axes.get_legend_handles_labels()
    return zip(handles, labels, strict=True)

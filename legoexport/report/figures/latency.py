"""Picture: where the time of a run goes, layer by layer and part by part, beside dense."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.axes import Axes

from legoexport.measure.attribution import OTHER as OUTSIDE
from legoexport.measure.profile import Profile
from legoexport.report.figures.style import (
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
    "transform": ("transform", TRANSFORM),
    "merge": ("merge", MERGE),
    "reorder": ("movement", MOVEMENT),
    "weights": ("weights", WEIGHTS),
    "": ("outside the Lego layers", OTHER),
}
Parts = Mapping[str, float]


def draw_latency(own: Profile, dense: Profile | None, name: str) -> Picture:
    """Draw a bar for the whole run, one for the dense network, and one for each layer.

    Args:
        own: A profiled run of the file.
        dense: One of the dense network.
        name: What the identifiers of the drawing start with.
    """
    layers = layer_parts(own)
    outside = layers.pop(OUTSIDE[0], {})
    bars = {"whole run": _sums([*layers.values(), outside])}
    if dense is not None:
        bars["dense network"] = _sums(layer_parts(dense).values())
    whole_count = len(bars)
    bars |= layers | {"outside": outside}
    beside = f", the dense network {dense.total_ms:.3f} ms" if dense else ""
    description = f"A profiled run takes {own.total_ms:.3f} ms{beside}"
    with drawing(0.6 + row_inches(len(bars))) as (figure, (axes,)):
        for part, (label, colour) in PARTS.items():
            if any(parts.get(part) for parts in bars.values()):
                _part(axes, part, label, colour, list(bars.values()))
        axes.axhline(whole_count - 0.5, color=OTHER, linewidth=0.6)
        axes.set_yticks(range(len(bars)), [short(key) for key in bars])
        axes.invert_yaxis()
        axes.set_xlabel("ms in a profiled run")
        figure.legend(loc="outside upper left", ncols=3, frameon=False, handlelength=1)
        svg = to_svg(figure, name, description)
    note = "Profiling slows a run: compare bars with each other, not with the latency above."
    return Picture("Time by layer and part", description, note, svg)


def layer_parts(profile: Profile) -> dict[str, dict[str, float]]:
    """Return milliseconds by layer, and there by part."""
    layers: dict[str, dict[str, float]] = {}
    for share in profile.by_layer:
        parts = layers.setdefault(share.name, {})
        parts[share.part] = parts.get(share.part, 0.0) + share.time_ms
    return layers


def _sums(layers: Iterable[Parts]) -> dict[str, float]:
    every = list(layers)
    return {part: sum(parts.get(part, 0.0) for parts in every) for part in PARTS}


def _part(axes: Axes, part: str, label: str, colour: str, bars: Sequence[Parts]) -> None:
    """Draw one part of every bar, behind the parts before it."""
    before = list(PARTS)[: list(PARTS).index(part)]
    lefts = [sum(parts.get(one, 0.0) for one in before) for parts in bars]
    widths = [parts.get(part, 0.0) for parts in bars]
    axes.barh(range(len(bars)), widths, 0.72, lefts, color=colour, label=label)

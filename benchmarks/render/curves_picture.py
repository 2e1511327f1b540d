"""Picture: how many times faster one layer is than dense, as its work grows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from benchmarks.labels import DEFAULT, DENSE, GROUPED
from benchmarks.points import AXES, parse
from benchmarks.records import Race
from benchmarks.render.style import BLACK, colour_of, new_figure, save

TITLES = {
    "size": "Input size, batch 1",
    "batch": "Batch, at 56x56",
    "n/m": "n/m, at 56x56",
    "threads": "Threads, at 112x112",
}
UNITS = {"size": "pixels a side", "batch": "images", "n/m": "n/m", "threads": "threads"}
PAPER_SPEEDUP = 2.0  # n/m of the layer of all axes but one
INCH_HEIGHT = 6.6


def draw(races: Sequence[Race], path: Path) -> None:
    """Draw a panel for each axis: the default plan, the direct form, and the paper's n/m."""
    figure, axes = new_figure(2, 2, INCH_HEIGHT)
    for ax, axis in zip(axes, AXES, strict=True):
        _panel(ax, axis, [race for race in races if parse(race.subject)[0] == axis])
    save(figure, path)


def _panel(ax: Axes, axis: str, races: Sequence[Race]) -> None:
    ax.set_title(TITLES[axis])
    ax.set_xlabel(UNITS[axis])
    ax.set_ylabel("times as fast as dense")
    if not races:
        return
    values = sorted({parse(race.subject)[1] for race in races})
    counts = [0] if axis == "threads" else sorted({race.threads for race in races})
    for label in (DEFAULT, GROUPED):
        for count in counts:
            chosen = [race for race in races if count in (0, race.threads)]
            _line(ax, label, chosen, count, is_first=count == counts[0])
    paper = [float(value) if axis == "n/m" else PAPER_SPEEDUP for value in values]
    ax.plot(values, paper, color=BLACK, ls=":", lw=1.2)
    ax.annotate(
        "paper: n/m", (values[0], paper[0]), (2, 4), textcoords="offset points", color=BLACK
    )
    if axis != "threads":
        ax.set_xscale("log", base=2)
    ax.set_xticks(values, [str(value) for value in values])
    ax.minorticks_off()
    ax.set_ylim(bottom=0)


def _line(ax: Axes, label: str, races: Sequence[Race], count: int, *, is_first: bool) -> None:
    found = []
    for race in sorted(races, key=lambda race: parse(race.subject)[1]):
        entry, dense = race.find(label), race.find(DENSE)
        if entry is not None and dense is not None:
            found.append((parse(race.subject)[1], race.speedup(entry, dense)))
    if not found:
        return
    values = [value for value, _ in found]
    ratios = [ratio.estimate_ratio for _, ratio in found]
    colour = colour_of(label)
    ax.fill_between(
        values,
        [ratio.low_ratio for _, ratio in found],
        [ratio.high_ratio for _, ratio in found],
        color=colour,
        alpha=0.15,
        lw=0,
    )
    ax.plot(values, ratios, color=colour, ls="-" if is_first else "--", marker="o", ms=3.5)
    name = "default plan" if label == DEFAULT else "direct"
    threads = f", {count} thread{'s' * (count > 1)}" if count else ""
    ax.annotate(
        name + threads,
        (values[-1], ratios[-1]),
        (6, 0),
        textcoords="offset points",
        va="center",
        color=colour,
        annotation_clip=False,
    )

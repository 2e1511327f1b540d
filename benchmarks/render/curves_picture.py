"""Picture: how many times faster one layer is than dense, as its work grows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes

from benchmarks.labels import DEFAULT, DENSE, GROUPED
from benchmarks.points import AXES, parse
from benchmarks.records import Race
from benchmarks.render.style import BLACK, colour_of, new_figure, save, spread
from legoexport.measure.statistics import RatioInterval

TITLES = {
    "size": "Input size, batch 1",
    "batch": "Batch, at 56x56",
    "n/m": "n/m, at 56x56",
    "threads": "Threads, at 112x112",
}
UNITS = {"size": "pixels a side", "batch": "images", "n/m": "n/m", "threads": "threads"}
PAPER_SPEEDUP = 2.0  # n/m of the layer of all axes but one
INCH_HEIGHT = 6.6
GAP = 0.06  # between names, of the height of a panel


def draw(races: Sequence[Race], path: Path) -> None:
    """Draw a panel for each axis: the default plan, the direct form, and the paper's n/m."""
    figure, axes = new_figure(2, 2, INCH_HEIGHT)
    for ax, axis in zip(axes, AXES, strict=True):
        _panel(ax, axis, [race for race in races if parse(race.subject)[0] == axis])
    save(figure, path)


@dataclass(frozen=True)
class _Line:
    """Speed-ups of one form, by what grows."""

    name: str
    colour: str
    style: str
    values: tuple[int, ...]
    ratios: tuple[RatioInterval, ...]


def _panel(ax: Axes, axis: str, races: Sequence[Race]) -> None:
    ax.set_title(TITLES[axis], pad=10)
    ax.set_xlabel(UNITS[axis])
    ax.set_ylabel("times as fast as dense")
    if not races:
        return
    values = sorted({parse(race.subject)[1] for race in races})
    lines = [*_lines(axis, races)]
    for line in lines:
        _draw(ax, line)
    paper = [float(value) if axis == "n/m" else PAPER_SPEEDUP for value in values]
    ax.plot(values, paper, color=BLACK, ls=":", lw=1.2)
    ends = [("paper: n/m", BLACK, paper[-1])]
    ends += [(line.name, line.colour, line.ratios[-1].estimate_ratio) for line in lines]
    _name(ax, values[-1], ends)
    if axis != "threads":
        ax.set_xscale("log", base=2)
    ax.set_xticks(values, [str(value) for value in values])
    ax.minorticks_off()
    ax.set_ylim(bottom=0)


def _lines(axis: str, races: Sequence[Race]) -> Iterator[_Line]:
    # 0 stands for all: there the threads are what grows.
    counts = [0] if axis == "threads" else sorted({race.threads for race in races})
    for label in (DEFAULT, GROUPED):
        form = "default plan" if label == DEFAULT else "direct"
        for count in counts:
            chosen = [race for race in races if count in (0, race.threads)]
            name = f"{form}, {count} thread{'s' * (count > 1)}" if count else form
            style = "-" if count == counts[0] else "--"
            line = _Line(name, colour_of(label), style, *_speedups(label, chosen))
            if line.values:
                yield line


def _speedups(
    label: str, races: Sequence[Race]
) -> tuple[tuple[int, ...], tuple[RatioInterval, ...]]:
    ordered = sorted(races, key=lambda race: parse(race.subject)[1])
    found = [(race, race.find(label), race.find(DENSE)) for race in ordered]
    timed = [(race, ours, dense) for race, ours, dense in found if ours and dense]
    return (
        tuple(parse(race.subject)[1] for race, _, _ in timed),
        tuple(ours.speedup_over(dense) for _, ours, dense in timed),
    )


def _draw(ax: Axes, line: _Line) -> None:
    low = [ratio.low_ratio for ratio in line.ratios]
    high = [ratio.high_ratio for ratio in line.ratios]
    estimates = [ratio.estimate_ratio for ratio in line.ratios]
    ax.fill_between(line.values, low, high, color=line.colour, alpha=0.15, lw=0)
    ax.plot(line.values, estimates, color=line.colour, ls=line.style, marker="o", ms=3.5)


def _name(ax: Axes, right: int, ends: Sequence[tuple[str, str, float]]) -> None:
    """Write the names of lines beside their right ends, apart from each other."""
    gap = GAP * ax.get_ylim()[1]
    heights = spread([height for _, _, height in ends], gap)
    for (name, colour, _), height in zip(ends, heights, strict=True):
        ax.annotate(
            name,
            (right, height),
            (6, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            annotation_clip=False,
        )

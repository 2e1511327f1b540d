"""Picture: the time of each layer, split into transform, merge, movement and what is outside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from benchmarks.labels import DENSE
from benchmarks.records import Profile
from benchmarks.render.style import GREY, PART_COLOURS, new_figure, save
from benchmarks.render.tables import PARTS, part_sums_ms

INCH_BAR = 0.36
INCH_LAYER = 0.2
OTHER = "other"


def draw_networks(profiles: Sequence[Profile], path: Path) -> None:
    """Draw a bar for each network and file, each against its own dense run at 1 thread."""
    fewest = [p for p in profiles if p.threads == min(q.threads for q in profiles)]
    dense_ms = {p.subject: sum(part_sums_ms(p).values()) for p in fewest if p.label == DENSE}
    bars = [p for p in fewest if p.subject in dense_ms and p.label != DENSE]
    figure, (ax,) = new_figure(1, 1, 1.3 + INCH_BAR * len(bars))
    for row, profile in enumerate(bars):
        sums = part_sums_ms(profile)
        scale = 100 / dense_ms[profile.subject]
        _bar(ax, row, [scale * sums[part] for part in PARTS], named=row == 0)
        total = scale * sum(sums.values())
        ax.text(total + 1, row, f"{total:.0f} %", va="center")
    ax.set_yticks(range(len(bars)), [profile.subject for profile in bars])
    _finish(
        ax,
        "time of a run, % of the dense network's",
        "Where the time of the tuned file goes, fewest threads",
    )
    ax.axvline(100, color=GREY, lw=1)
    ax.text(99, -0.5, "dense", ha="right", va="top", color=GREY)
    save(figure, path)


def draw_layers(profile: Profile, path: Path) -> None:
    """Draw a bar for each layer of one network, in order of execution."""
    names = list(dict.fromkeys(time.layer for time in profile.times if time.layer != OTHER))
    figure, (ax,) = new_figure(1, 1, 1.3 + INCH_LAYER * (len(names) + 1))
    for row, name in enumerate([*names, OTHER]):
        times = [time for time in profile.times if time.layer == name]
        sums = [sum(t.time_ms for t in times if t.part == part) for part in PARTS]
        _bar(ax, row, sums, named=row == 0)
    ax.set_yticks(range(len(names) + 1), [*names, "outside"])
    title = f"{profile.subject}, {profile.label}, {profile.threads} thread: layer by layer"
    _finish(ax, "ms in a profiled run", title)
    save(figure, path)


def _bar(ax: Axes, row: int, widths: Sequence[float], *, named: bool) -> None:
    left = 0.0
    for (part, name), width in zip(PARTS.items(), widths, strict=True):
        label = name if named else None
        ax.barh(
            row,
            width,
            left=left,
            height=0.72,
            color=PART_COLOURS[part],
            label=label,
            edgecolor="white",
            lw=0.5,
        )
        left += width


def _finish(ax: Axes, label: str, title: str) -> None:
    ax.invert_yaxis()
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(label)
    ax.set_title(title, pad=22)
    ax.legend(ncols=len(PARTS), loc="lower left", bbox_to_anchor=(0, 1), frameon=False)

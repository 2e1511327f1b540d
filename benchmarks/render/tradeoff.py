"""Picture: latency against the size of the file, for each network and each way to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from matplotlib.axes import Axes

from benchmarks.labels import DEFAULT, DENSE, NAIVE, TUNED
from benchmarks.records import Entry, Race
from benchmarks.render.style import colour_of, new_figure, save, spread
from benchmarks.render.tables import short_label

COLUMNS_COUNT = 2
SHORT = {DENSE: "dense", NAIVE: "naive export"}
GAP = 0.085  # between labels, of the largest latency
INCH_ROW = 2.9


def draw(networks: Sequence[Race], peers: Sequence[Race], path: Path) -> None:
    """Draw a panel for each network at 1 thread; the best place is at the lower left."""
    shown = _merged(networks, peers)
    rows_count = ceil(len(shown) / COLUMNS_COUNT)
    figure, axes = new_figure(rows_count, COLUMNS_COUNT, INCH_ROW * rows_count)
    for ax, (subject, entries) in zip(axes, shown.items(), strict=False):
        _panel(ax, subject, entries)
    for ax in axes[len(shown) :]:
        ax.set_axis_off()
    save(figure, path)


def _merged(networks: Sequence[Race], peers: Sequence[Race]) -> Mapping[str, list[Entry]]:
    """Return the entries of each network at the fewest threads; those of networks come first."""
    fewest = min((race.threads for race in networks), default=1)
    shown: dict[str, dict[str, Entry]] = {}
    for race in (*networks, *peers):
        if race.threads == fewest:
            entries = shown.setdefault(race.subject, {})
            for entry in race.entries:
                entries.setdefault(entry.label, entry)
    return {subject: list(entries.values()) for subject, entries in shown.items()}


def _panel(ax: Axes, subject: str, entries: Sequence[Entry]) -> None:
    ax.set_title(subject)
    ax.set_xlabel("size of the file, MB")
    ax.set_ylabel("latency, ms")
    latencies_ms = [entry.latency_ms for entry in entries]
    heights = spread(latencies_ms, GAP * max(latencies_ms))
    for entry, height in zip(entries, heights, strict=True):
        _point(ax, entry, height)
    ax.set_xlim(0, 1.08 * max(entry.file_size_bytes for entry in entries) / 1e6)
    ax.set_ylim(0, max(1.08 * max(latencies_ms), *heights))


def _point(ax: Axes, entry: Entry, height: float) -> None:
    """Draw a model, hollow where it is dense, and its name at ``height`` beside the panel."""
    place, colour = (entry.file_size_bytes / 1e6, entry.latency_ms), colour_of(entry.label)
    is_ours = entry.label in (DEFAULT, TUNED)
    inside = "white" if entry.label.endswith(DENSE) else colour
    ax.scatter(*place, s=50 if is_ours else 32, facecolor=inside, edgecolor=colour, zorder=3)
    ax.annotate(
        SHORT.get(entry.label, short_label(entry.label)),
        place,
        xytext=(1.05, height),
        textcoords=("axes fraction", "data"),
        va="center",
        color=colour,
        fontweight="bold" if is_ours else "normal",
        arrowprops={"arrowstyle": "-", "color": colour, "lw": 0.5, "relpos": (0, 0.5)},
        annotation_clip=False,
    )

"""Picture: latency against the size of the file, for each network and each way to run it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

from matplotlib.axes import Axes

from benchmarks.labels import DENSE, NAIVE, TUNED
from benchmarks.records import Entry, Race
from benchmarks.render.style import colour_of, new_figure, save

COLUMNS_COUNT = 2
SHORT = {DENSE: "dense, ORT", NAIVE: "naive, ORT", "legoexport": "legoexport"}
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
    placed: list[float] = []
    highest = max(entry.latency_ms for entry in entries)
    for entry in sorted(entries, key=lambda entry: entry.latency_ms):
        x, y = entry.file_size_bytes / 1e6, entry.latency_ms
        is_ours = entry.label.startswith("legoexport")
        ax.scatter(x, y, s=46 if is_ours else 30, color=colour_of(entry.label), zorder=3)
        text_y = _free(y, placed, highest * 0.075)
        placed.append(text_y)
        ax.annotate(
            SHORT.get(entry.label, entry.label.replace(f", {TUNED}", ", ours")),
            (x, y),
            xytext=(1.03, text_y),
            textcoords=("axes fraction", "data"),
            va="center",
            color=colour_of(entry.label),
            fontweight="bold" if is_ours else "normal",
            arrowprops={"arrowstyle": "-", "color": colour_of(entry.label), "lw": 0.5},
            annotation_clip=False,
        )
    ax.set_xlim(0, 1.08 * max(entry.file_size_bytes for entry in entries) / 1e6)
    ax.set_ylim(0, max(1.08 * highest, placed[-1]))


def _free(y: float, placed: Sequence[float], gap: float) -> float:
    """Return the height for a label near ``y`` that leaves ``gap`` to the one placed last."""
    return max(y, placed[-1] + gap) if placed else y

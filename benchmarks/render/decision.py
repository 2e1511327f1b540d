"""Picture people decide by: accuracy against latency and against file size, in each precision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from benchmarks.accuracies import ACCURACIES, PERCENT, Accuracy
from benchmarks.labels import FILES
from benchmarks.records import Entry, Race
from benchmarks.render.style import PRECISION_MARKS, new_figure, save

INCH_ROW, INCH_LEGEND = 2.6, 0.4
LATENCY, SIZE = "latency, ms", "size of the file, MB"
# An axis of accuracy spans at least so many points, lest one image look like a cliff.
LEAST_SPAN_POINTS = 2.0
MARGIN = 1.12


def deciding(records: Sequence[Race]) -> tuple[Race, ...]:
    """Return the races on the fewest threads of networks whose accuracy is known."""
    fewest = min((race.threads for race in records), default=1)
    return tuple(race for race in records if race.threads == fewest and race.subject in ACCURACIES)


def draw(races: Sequence[Race], path: Path) -> None:
    """Draw a row for each race: on the left over latency, on the right over the size of the file.

    The best place is at the upper left. A file whose right answers were not counted is left out.

    Args:
        races: As ``deciding`` gives them.
        path: The SVG to write.
    """
    figure, axes = new_figure(len(races), 2, INCH_ROW * len(races) + INCH_LEGEND)
    for row, race in enumerate(races):
        accuracy = ACCURACIES[race.subject]
        latencies = {entry.label: entry.latency_ms for entry in race.entries}
        sizes = {entry.label: _megabytes(entry) for entry in race.entries}
        left, right = axes[2 * row : 2 * row + 2]
        left.set_title(f"{race.subject}, {accuracy.data}")
        _panel(left, latencies, accuracy, LATENCY)
        _panel(right, sizes, accuracy, SIZE)
    handles = {mark.get_label(): mark for ax in axes for mark in ax.collections}
    shown = [label for label in FILES if label in handles]
    marks = [handles[label] for label in shown]
    figure.legend(marks, shown, loc="outside lower center", ncols=len(FILES), frameon=False)
    save(figure, path)


def _megabytes(entry: Entry) -> float:
    return entry.file_size_bytes / 1e6


def _panel(ax: Axes, places: Mapping[str, float], accuracy: Accuracy, name: str) -> None:
    percents = {label: accuracy.percent(label) for label in places}
    known = {label: percent for label, percent in percents.items() if percent is not None}
    for label, percent in known.items():
        colour, marker, is_filled = PRECISION_MARKS[label]
        ax.scatter(
            places[label],
            percent,
            s=45,
            marker=marker,
            facecolor=colour if is_filled else "white",
            edgecolor=colour,
            label=label,
            zorder=3,
        )
    ax.set_xlabel(name)
    ax.set_ylabel(f"right of {accuracy.images_count}, %")
    ax.set_xlim(0, MARGIN * max(places[label] for label in known))
    middle = (min(known.values()) + max(known.values())) / 2
    span = max(LEAST_SPAN_POINTS, MARGIN * (max(known.values()) - min(known.values())))
    ax.set_ylim(middle - span / 2, min(middle + span / 2, PERCENT))

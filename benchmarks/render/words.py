"""Sentences that are made from figures, so that they cannot contradict them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.labels import DEFAULT, DENSE, GROUPED
from benchmarks.points import AXES, parse
from benchmarks.records import Race

FORMS = {DEFAULT: "the default plan", GROUPED: "the direct form"}


def extremes(races: Sequence[Race]) -> str:
    """Return for each axis, form and thread count where the speed-up is largest and smallest."""
    return "\n".join(line for axis in AXES for line in _axis_lines(axis, races))


def _axis_lines(axis: str, races: Sequence[Race]) -> Iterator[str]:
    chosen = [race for race in races if parse(race.subject)[0] == axis]
    counts = [0] if axis == "threads" else sorted({race.threads for race in chosen})
    for count in counts:
        same = [race for race in chosen if count in (0, race.threads)]
        for label, form in FORMS.items():
            found = sorted(_speedups(label, same))
            if found:
                where = f", {count} thread{'s' * (count > 1)}" if count else ""
                yield f"- {axis}{where}, {form}: {_span(axis, found)}"


def _speedups(label: str, races: Sequence[Race]) -> Iterator[tuple[float, int]]:
    for race in races:
        entry, dense = race.find(label), race.find(DENSE)
        if entry is not None and dense is not None:
            yield entry.speedup_over(dense).estimate_ratio, parse(race.subject)[1]


def _span(axis: str, found: Sequence[tuple[float, int]]) -> str:
    (least, where_least), (most, where_most) = found[0], found[-1]
    return f"{least:.2f}x at {axis} {where_least} to {most:.2f}x at {axis} {where_most}."

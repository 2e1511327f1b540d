"""Tables of races, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.labels import (
    DEFAULT,
    DENSE,
    DENSE_INT8,
    FILES,
    LEGO_FP32,
    LEGO_INT8,
    NAIVE,
    OTHERS,
    TUNED,
)
from benchmarks.records import Entry, Profile, Race
from legoexport.host.report import format_bytes
from legoexport.measure.statistics import RatioInterval

NOTHING = "-"
PARTS = {"transform": "transform", "merge": "merge", "reorder": "movement", "": "outside"}


def network_table(races: Sequence[Race]) -> str:
    """Return latencies, and the speed-up of the tuned file over the others."""
    header = ("network", "threads", "dense, ms", "naive, ms", "default, ms", "tuned, ms")
    ratios = ("tuned over dense", "tuned over naive", "default over dense")
    rows = []
    for race in races:
        labels = (DENSE, NAIVE, DEFAULT, TUNED)
        latencies = [_latency(race.find(label)) for label in labels]
        pairs = ((TUNED, DENSE), (TUNED, NAIVE), (DEFAULT, DENSE))
        speedups = [_speedup(race, fast, slow) for fast, slow in pairs]
        rows.append([race.subject, str(race.threads), *latencies, *speedups])
    return markdown((*header, *ratios), rows)


def level_table(levels: Mapping[str, Sequence[Race]]) -> str:
    """Return the speed-up of the tuned file over dense, a column for each width of registers."""
    by_key = {level: {race.key: race for race in races} for level, races in levels.items()}
    rows = []
    for race in next(iter(levels.values())) or max(levels.values(), key=len):
        found = [by_key[level].get(race.key) for level in levels]
        cells = [NOTHING if one is None else _speedup(one, TUNED, DENSE) for one in found]
        rows.append([race.subject, str(race.threads), *cells])
    return markdown(["network", "threads", *levels], rows)


def cost_table(races: Sequence[Race]) -> str:
    """Return size on disk and memory after load, one row a network."""
    labels = (DENSE, NAIVE, DEFAULT, TUNED)
    header = ["network", *(f"{label}: file / loaded" for label in labels)]
    first = {race.subject: race for race in reversed(races)}
    rows = [
        [subject, *(_cost(race.find(label)) for label in labels)]
        for subject, race in reversed(first.items())
    ]
    return markdown(header, rows)


def peer_table(races: Sequence[Race]) -> str:
    """Return latencies elsewhere, and the speed-up of our tuned file over the dense one there."""
    labels = [f"{name}, {form}" for name in OTHERS for form in (DENSE, TUNED)]
    columns = ["ONNX Runtime, dense", "ONNX Runtime, tuned", *labels]
    header = ["network", "threads", *(f"{short_label(one)}, ms" for one in columns)]
    over = [f"ONNX Runtime, tuned, over {name}, dense" for name in OTHERS]
    rows = []
    for race in races:
        latencies = [_latency(race.find(label)) for label in (DENSE, TUNED, *labels)]
        speedups = [_speedup(race, TUNED, f"{name}, {DENSE}") for name in OTHERS]
        rows.append([race.subject, str(race.threads), *latencies, *speedups])
    return markdown([*header, *over], rows)


def precision_table(races: Sequence[Race]) -> str:
    """Return latency and size in each precision, and what int8 gains over dense int8 and fp32."""
    header = ("network", "threads", *(f"{label}: ms / file" for label in FILES))
    over = (f"{LEGO_INT8} over {DENSE_INT8}", f"{LEGO_INT8} over {LEGO_FP32}")
    rows = []
    for race in races:
        cells = [_latency_and_size(race.find(label)) for label in FILES]
        speedups = [_speedup(race, LEGO_INT8, slower) for slower in (DENSE_INT8, LEGO_FP32)]
        rows.append([race.subject, str(race.threads), *cells, *speedups])
    return markdown((*header, *over), rows)


def absent_list(races: Sequence[Race]) -> str:
    """Return a line for every model that was not timed, with its reason; empty if there is none."""
    lines = [
        f"- {race.subject}, threads {race.threads}: {one.label} was not timed: {one.reason}"
        for race in races
        for one in race.absent
    ]
    return "\n".join(lines)


def worst_error_ratio(races: Sequence[Race]) -> float:
    """Return the largest difference from the reference that any timed model showed."""
    return max(entry.error_ratio for race in races for entry in race.entries)


def part_table(profiles: Sequence[Profile]) -> str:
    """Return milliseconds by part of the Lego layers; the rest is outside of them."""
    rows = []
    for profile in profiles:
        sums = part_sums_ms(profile)
        cells = [f"{sums[part]:.2f}" for part in PARTS]
        total = f"{sum(sums.values()):.2f}"
        rows.append([profile.subject, profile.label, str(profile.threads), *cells, total])
    columns = [f"{name}, ms" for name in PARTS.values()]
    return markdown(("network", "file", "threads", *columns, "all, ms"), rows)


def part_sums_ms(profile: Profile) -> dict[str, float]:
    """Return the time of each of ``PARTS``; what folds at load takes none."""
    sums = dict.fromkeys(PARTS, 0.0)
    for time in profile.times:
        sums[time.part if time.part in sums else ""] += time.time_ms
    return sums


def short_label(label: str) -> str:
    """Return ``MNN, tuned`` for our tuned file in MNN."""
    return label.replace(f", {TUNED}", ", tuned")


def interval(ratio: RatioInterval) -> str:
    """Return a ratio such as ``2.03x [1.98, 2.10]``."""
    return f"{ratio.estimate_ratio:.2f}x [{ratio.low_ratio:.2f}, {ratio.high_ratio:.2f}]"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; numbers are for the reader to compare, so all but names are set right."""
    marks = ["---", *["---:" for _ in columns[1:]]]
    return "\n".join("| " + " | ".join(line) + " |" for line in (columns, marks, *rows))


def _latency(entry: Entry | None) -> str:
    return NOTHING if entry is None else f"{entry.latency_ms:.3g}"


def _latency_and_size(entry: Entry | None) -> str:
    if entry is None:
        return NOTHING
    return f"{_latency(entry)} / {format_bytes(entry.file_size_bytes)}"


def _speedup(race: Race, fast: str, slow: str) -> str:
    faster, slower = race.find(fast), race.find(slow)
    if faster is None or slower is None:
        return NOTHING
    return interval(faster.speedup_over(slower))


def _cost(entry: Entry | None) -> str:
    if entry is None:
        return NOTHING
    loaded = NOTHING if entry.loaded_bytes is None else format_bytes(entry.loaded_bytes)
    return f"{format_bytes(entry.file_size_bytes)} / {loaded}"

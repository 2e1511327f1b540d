"""A measurement as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from legoexport.host.machine import Machine
from legoexport.host.report import format_bytes
from legoexport.measure.machine_view import machine_json, machine_rows
from legoexport.measure.profile import Share
from legoexport.measure.timing import Comparison, Timing
from legoexport.ort.providers import short_name

Row = Sequence[str]
Table = tuple[str, Row, Sequence[Row]]
LATENCIES = ("p50", "p90", "p95", "p99", "mean", "std", "min")
LATENCY_COLUMNS = ("model", *(f"{name} ms" for name in LATENCIES), "runs", "images/s")
COST_COLUMNS = ("model", "file", "session ms", "memory before", "loaded", "peak")
PLACEMENT_COLUMNS = ("model", "provider", "operator", "nodes")


def tables(timings: Sequence[Timing], machine: Machine) -> Iterator[Table]:
    """Give title, column headings and rows of each table."""
    first = timings[0]
    where = f"{short_name(first.provider)} of {first.runtime}"
    run = f"batch {first.batch_size}, threads {first.threads}, {where}"
    yield f"Latency ({run})", LATENCY_COLUMNS, [_latency_cells(timing) for timing in timings]
    yield "Cost of loading", COST_COLUMNS, [_cost_cells(timing) for timing in timings]
    placed = [row for timing in timings for row in _placement_rows(timing)]
    yield "Where it ran", PLACEMENT_COLUMNS, placed
    for timing in timings:
        yield from _profile_tables(timing)
    yield "Machine", ("what", "value"), machine_rows(machine)


def as_json(found: Timing | Comparison, machine: Machine) -> dict[str, Any]:
    """Return ``model`` and ``machine``, and what a comparison says of another model."""
    if isinstance(found, Timing):
        return {"model": found.to_json(), "machine": machine_json(machine)}
    return {
        "model": found.timing.to_json(),
        "other": found.other.to_json(),
        "speedup": found.speedup.to_json(),
        "rounds_count": found.rounds_count,
        "machine": machine_json(machine),
    }


def _name(timing: Timing) -> str:
    return Path(timing.model).name


def _latency_cells(timing: Timing) -> Row:
    latency = timing.latency.to_json()
    cells = [f"{latency[f'{name}_ms']:.3f}" for name in LATENCIES]
    runs_count = str(timing.latency.runs_count)
    return [_name(timing), *cells, runs_count, f"{timing.images_per_second:.1f}"]


def _cost_cells(timing: Timing) -> Row:
    memory = timing.memory
    sizes = (memory.before_load_bytes, memory.after_load_bytes, memory.peak_bytes)
    file_size = format_bytes(timing.file_size_bytes)
    cells = [f"{timing.session_creation_ms:.1f}", *map(format_bytes, sizes)]
    return [_name(timing), file_size, *cells]


def _placement_rows(timing: Timing) -> list[Row]:
    return [
        [_name(timing), short_name(part.provider), part.op, str(part.nodes_count)]
        for part in timing.placement
    ]


def _profile_tables(timing: Timing) -> Iterator[Table]:
    profile = timing.profile
    if profile is None:
        return
    title = f"{_name(timing)}: {{}}, in a profiled run of {profile.total_ms:.3f} ms"
    operators: list[Row] = [
        [s.name, *_share_cells(s, profile.total_ms)] for s in profile.by_operator
    ]
    yield title.format("by operator"), ("operator", "ms", "%"), operators
    layers: list[Row] = [
        [s.name, s.part, *_share_cells(s, profile.total_ms)] for s in profile.by_layer
    ]
    yield title.format("by Lego layer"), ("layer", "part", "ms", "%"), layers


def _share_cells(share: Share, total_ms: float) -> Row:
    percent = 100 * share.time_ms / total_ms
    return [f"{share.time_ms:.3f}", f"{percent:.1f}"]

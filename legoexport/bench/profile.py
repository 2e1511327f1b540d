"""Where the time goes: by operator, by execution provider, and by the parts of each Lego layer."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from legoexport.bench.attribution import Attribution
from legoexport.bench.model_file import read_graph

NODE_SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class NodeTime:
    """One node of the graph that ONNX Runtime runs, with its mean time in a run."""

    name: str
    op: str
    provider: str
    time_ms: float


@dataclass(frozen=True)
class Placement:
    """How many nodes of an operator ran on an execution provider."""

    provider: str
    op: str
    nodes_count: int


@dataclass(frozen=True)
class Share:
    """Mean milliseconds of a run spent on an operator, or on a part of a Lego layer.

    ``part`` is ``weights``, ``transform``, ``merge`` or ``reorder``, as ``Attribution`` says; it is
    empty for an operator and for the layer ``other``.
    """

    name: str
    part: str
    time_ms: float


@dataclass(frozen=True)
class Profile:
    """A run, taken apart; ``by_operator`` and ``by_layer`` both sum to ``total_ms``.

    Profiling itself slows a run: compare shares with each other, not with measured latencies.
    """

    total_ms: float
    by_operator: tuple[Share, ...]
    by_layer: tuple[Share, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the attributes under their own names."""
        return asdict(self)


def read_nodes(profile: Path) -> tuple[NodeTime, ...]:
    """Read ONNX Runtime's profile; the first run warms up and is left out."""
    events = json.loads(profile.read_text())
    _, *starts_us = sorted(event["ts"] for event in events if event["name"] == "model_run")
    totals_us: Counter[tuple[str, str, str, str]] = Counter()
    for event in events:
        is_kernel = event["cat"] == "Node" and event["name"].endswith(NODE_SUFFIX)
        if is_kernel and event["ts"] >= starts_us[0]:
            args = event["args"]
            name = event["name"].removesuffix(NODE_SUFFIX)
            totals_us[name, args["op_name"], args["provider"], args["node_index"]] += event["dur"]
    return tuple(
        NodeTime(name, op, provider, total_us / 1e3 / len(starts_us))
        for (name, op, provider, _), total_us in totals_us.items()
    )


def place(nodes: Iterable[NodeTime]) -> tuple[Placement, ...]:
    """Count nodes by execution provider and operator."""
    counts = Counter((node.provider, node.op) for node in nodes)
    return tuple(Placement(*key, count) for key, count in sorted(counts.items()))


def take_apart(nodes: Sequence[NodeTime], attribution: Attribution) -> Profile:
    """Sum the time of the nodes by operator, longest first, and by layer, in order of execution."""
    operators: dict[str, float] = defaultdict(float)
    parts: dict[tuple[str, str], float] = defaultdict(float)
    for node in nodes:
        operators[node.op] += node.time_ms
        parts[attribution.part_of(node.name, node.op)] += node.time_ms
    return Profile(
        total_ms=sum(node.time_ms for node in nodes),
        by_operator=tuple(
            Share(op, "", operators[op]) for op in sorted(operators, key=lambda op: -operators[op])
        ),
        by_layer=tuple(Share(*key, time_ms) for key, time_ms in parts.items()),
    )


def profile_of(nodes: Sequence[NodeTime], model: Path, optimized: str | None) -> Profile:
    """Take a run of ``model`` apart; ``optimized`` is the graph that ONNX Runtime made of it."""
    graph = read_graph(Path(optimized)) if optimized else None
    return take_apart(nodes, Attribution(read_graph(model), graph))

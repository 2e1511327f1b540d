"""What ONNX Runtime says it ran: nodes by name, operator, execution provider and time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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

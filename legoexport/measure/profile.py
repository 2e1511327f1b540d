"""Where the time goes: by operator, by execution provider, and by the parts of each Lego layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from legoexport.measure.attribution import Attribution
from legoexport.ort.model_file import read_graph
from legoexport.ort.nodes import NodeTime


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

    ``by_module`` is the part of ``other`` that multiplies by a module's dense weight: convolutions
    of a dense network stand beside the Lego layers of the same names.

    Profiling itself slows a run: compare shares with each other, not with measured latencies.
    """

    total_ms: float
    by_operator: tuple[Share, ...]
    by_layer: tuple[Share, ...]
    by_module: tuple[Share, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the attributes under their own names."""
        return asdict(self)


def take_apart(nodes: Sequence[NodeTime], attribution: Attribution) -> Profile:
    """Sum the time of the nodes by operator, longest first, and by layer, in order of execution."""
    operators: dict[str, float] = defaultdict(float)
    parts: dict[tuple[str, str], float] = defaultdict(float)
    modules: dict[str, float] = defaultdict(float)
    for node in nodes:
        operators[node.op] += node.time_ms
        parts[attribution.part_of(node.name, node.op)] += node.time_ms
        modules[attribution.module_of(node.name, node.op)] += node.time_ms
    return Profile(
        total_ms=sum(node.time_ms for node in nodes),
        by_operator=tuple(
            Share(op, "", operators[op]) for op in sorted(operators, key=lambda op: -operators[op])
        ),
        by_layer=tuple(Share(*key, time_ms) for key, time_ms in parts.items()),
        by_module=tuple(Share(name, "", time_ms) for name, time_ms in modules.items() if name),
    )


def profile_of(nodes: Sequence[NodeTime], model: Path, optimized: str | None) -> Profile:
    """Take a run of ``model`` apart; ``optimized`` is the graph that ONNX Runtime made of it."""
    graph = read_graph(Path(optimized)) if optimized else None
    return take_apart(nodes, Attribution(read_graph(model), graph))

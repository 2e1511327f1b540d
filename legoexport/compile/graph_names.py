"""Names of the inputs and outputs of a graph, which no other value of it may have."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import onnx_ir as ir

from legoexport.errors import UsageError


def name_ends(graph: ir.Graph, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Name the inputs and outputs of ``graph``; another value of such a name gets a new one.

    Raises:
        UsageError: The exporter made another number of them than the network has.
    """
    counts = (len(graph.inputs), len(graph.outputs))
    if counts != (len(inputs), len(outputs)):
        raise UsageError(
            "torch's exporter changed the inputs or outputs of the network",
            received=f"{counts[0]} inputs, {counts[1]} outputs",
            legal=f"{len(inputs)} inputs, {len(outputs)} outputs",
            next_step="wrap the network in a module that takes and gives tensors only",
        )
    wanted = dict(zip((*graph.inputs, *graph.outputs), (*inputs, *outputs), strict=True))
    made = [value for node in graph for value in node.outputs]
    values = [*graph.inputs, *graph.initializers.values(), *made]
    used = {str(value.name) for value in values} | set(wanted.values())
    for value in values:
        if value.name in wanted.values() and wanted.get(value) != value.name:
            free = (f"{value.name}_{number}" for number in itertools.count(1))
            value.name = next(name for name in free if name not in used)
            used.add(str(value.name))
    for value, name in wanted.items():
        value.name = name

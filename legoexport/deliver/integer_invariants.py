"""The promise of a file that computes in int8: what the plan calls int8 runs so, and no more."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from types import MappingProxyType

import onnx

from legoexport.compile.stages import Compiled
from legoexport.errors import InvariantBroken
from legoexport.lego.scales import ActivationType
from legoexport.ort.optimized import OptimizedNode, optimized_nodes
from legoexport.ort.session import EXACT_KERNELS

FLOAT_SUMS = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul")
INTEGER_SUMS = ("QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat")


@dataclass(frozen=True)
class Computes:
    """What ONNX Runtime computes in integers, and what in float.

    Attributes:
        integers: Number of nodes of each operator on integers that sums weights.
        floats: Names of the nodes that sum weights in float.
    """

    integers: MappingProxyType[str, int]
    floats: tuple[str, ...]

    def __str__(self) -> str:
        counted = ", ".join(f"{count} {op}" for op, count in self.integers.items())
        floats = f", {len(self.floats)} in float" if self.floats else ", none in float"
        return f"{counted or 'nothing'} in integers{floats}"


def check_integers(compiled: Compiled, model_bytes: bytes, activations: ActivationType) -> Computes:
    """Once the file is optimized, sums of weights run in integers where the plan says so alone.

    Args:
        compiled: The graph and its plan.
        model_bytes: The file.
        activations: Type of the integers of its activations.

    Raises:
        InvariantBroken: One does not, or another does; it is named.
    """
    # On x86, ONNX Runtime fuses signed activations only when it is allowed to; arm64 always does.
    entries = {EXACT_KERNELS["int8"]: "1"} if activations == "int8" else {}
    nodes = optimized_nodes(model_bytes, entries)
    left = [node.name for node in nodes if node.op in FLOAT_SUMS]
    planned = _planned_floats(compiled.model.graph)
    unplanned = [name for name in left if name not in planned]
    # The runtime may rename a node when it rearranges the graph.
    renamed = [name for name in planned if name not in left]
    if len(unplanned) > len(renamed):
        raise InvariantBroken(
            "onnxruntime computes in float what the plan calls int8",
            received=", ".join(unplanned),
            legal=", ".join(planned) or "nothing in float",
            next_step="choose another lowering for the layer with --plan",
        )
    _check_floats(nodes, planned)
    return Computes(_integer_counts(nodes), tuple(left))


def _check_floats(nodes: tuple[OptimizedNode, ...], planned: tuple[str, ...]) -> None:
    sums = [node.name_in_file for node in nodes if node.op in INTEGER_SUMS]
    taken = [name for name in sums if name in planned]
    if taken:
        raise InvariantBroken(
            "onnxruntime computes in integers what the plan calls float",
            received=", ".join(taken),
            legal="integers in the other layers",
            next_step="report this with the plan (--save-plan) and the version of onnxruntime",
        )


def _planned_floats(graph: onnx.GraphProto) -> tuple[str, ...]:
    """Return the names of nodes that sum weights but read no integers."""
    numbers = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    constants = {tensor.name for tensor in graph.initializer}
    return tuple(
        node.name
        for node in graph.node
        if node.op_type in FLOAT_SUMS
        and not (node.input[0] in numbers and node.input[1] in numbers)
        and node.input[0] not in constants
    )


def _integer_counts(nodes: tuple[OptimizedNode, ...]) -> MappingProxyType[str, int]:
    counts = Counter(node.op for node in nodes if node.op in INTEGER_SUMS)
    return MappingProxyType(dict(counts.most_common()))

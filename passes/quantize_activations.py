"""Put integers between the nodes that can compute with them.

    y  ->  DequantizeLinear(QuantizeLinear(y, scale, zero), scale, zero)

ONNX Runtime fuses a node that stands between such pairs into one that reads and writes integers.
What follows a sum as Relu, or as Clip from zero, goes: the integers of its result reach no further.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import onnx_ir as ir

from legoexport.errors import UsageError
from legoexport.lego.names import (
    dequantized_name,
    output_name,
    quantized_name,
    scale_name,
    zero_point_name,
)
from legoexport.lego.scales import LIMITS, Affine, Scales
from legoexport.passes import lego_op
from legoexport.passes.constants import add_constant, input_of
from legoexport.passes.int8_nodes import (
    COMBINES,
    MOVES,
    SUMS,
    clamp_after,
    sums_in_int8,
    upper_limit,
)

# The integers of a clamped value reach exactly its limit, but for the rounding of the scale.
LIMIT_TOLERANCE = 1e-6


class QuantizeActivations(ir.passes.InPlacePass):
    """Quantize what enters and leaves sums of weights, and what is combined of such values.

    Declines nodes that no integer kernel serves, and what stands behind them until the next sum;
    the scores that a last Gemm gives stay float.

    Args:
        scales: The integers of each value.
        floats: Names of nodes, and of Lego layers, that are to stay float.
    """

    def __init__(self, scales: Scales, floats: Container[str] = ()) -> None:
        super().__init__()
        self.scales = scales
        self.floats = floats

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place; report whether anything was quantized."""
        graph = model.graph
        _name_lego_outputs(graph)
        before = len(graph)
        for node in list(graph):
            if node.graph is graph:  # a clamp may be gone by now
                self._visit(node, graph)
        return ir.passes.PassResult(model, modified=len(graph) != before)

    def _visit(self, node: ir.Node, graph: ir.Graph) -> None:
        if node.op_type in MOVES and is_dequantized(node.inputs[0]):
            source = input_of(node, 0).producer()
            constants = [] if source is None else source.inputs[1:]
            _insert(node.outputs[0], node.outputs[0], constants, graph)
        elif node.op_type in COMBINES and all(map(is_dequantized, node.inputs)):
            self._quantize_result(node, graph)
        elif sums_in_int8(node) and not self._is_float(node):
            if not is_dequantized(node.inputs[0]):
                self._quantize(input_of(node, 0), input_of(node, 0), graph)
            if node.op_type != "Gemm" or _feeds_integers(node.outputs[0]):
                self._quantize_result(node, graph)

    def _is_float(self, node: ir.Node) -> bool:
        name = node.attributes.get_string("layer", "") if node.domain else str(node.name)
        return name in self.floats

    def _quantize_result(self, node: ir.Node, graph: ir.Graph) -> None:
        """Quantize what leaves ``node``, or the clamp behind it, which goes if it can."""
        made = node.outputs[0]
        clamp = clamp_after(made)
        if clamp is None:
            self._quantize(made, made, graph)
            return
        clamped = clamp.outputs[0]
        if _contains(self._affine(clamped), clamp):
            self._quantize(clamped, made, graph)
            graph.remove(clamp, safe=True)
        else:
            self._quantize(clamped, clamped, graph)

    def _quantize(self, value: ir.Value, made: ir.Value, graph: ir.Graph) -> None:
        """Insert integers for ``value``, rounded from ``made``."""
        affine, name = self._affine(value), str(value.name)
        constants = [
            add_constant(scale_name(name), affine.scale_array, graph),
            add_constant(zero_point_name(name), affine.zero_array, graph),
        ]
        _insert(value, made, constants, graph)

    def _affine(self, value: ir.Value) -> Affine:
        found = self.scales.activations.get(str(value.name))
        if found is None:
            raise UsageError(
                f"value {value.name} was not calibrated",
                legal=", ".join(self.scales.activations) or "none was",
                next_step="calibrate the network that is to be converted",
            )
        return found


def _contains(affine: Affine, clamp: ir.Node) -> bool:
    """Whether the integers reach no further than what ``clamp`` lets pass."""
    limit = upper_limit(clamp)
    from_zero = affine.zero_point == LIMITS[affine.dtype][0]
    return from_zero and limit is not None and affine.high <= limit * (1 + LIMIT_TOLERANCE)


def is_dequantized(value: ir.Value | None) -> bool:
    """Whether ``value`` stands for integers."""
    producer = None if value is None else value.producer()
    return producer is not None and producer.op_type == "DequantizeLinear"


def _insert(
    value: ir.Value, made: ir.Value, constants: Sequence[ir.Value | None], graph: ir.Graph
) -> None:
    """Let all that reads ``value`` read what the integers of ``made`` stand for."""
    name = str(value.name)
    quantize = ir.node("QuantizeLinear", [made, *constants], name=quantized_name(name))
    integers = quantize.outputs[0]
    integers.name, integers.shape = quantized_name(name), value.shape
    integers.type = None if constants[1] is None else constants[1].type
    dequantize = ir.node("DequantizeLinear", [integers, *constants], name=dequantized_name(name))
    numbers = dequantize.outputs[0]
    numbers.name, numbers.shape, numbers.type = dequantize.name, value.shape, value.type
    readers = [(use.node, use.idx) for use in value.uses() if use.node is not quantize]
    for node, position in readers:
        node.replace_input_with(position, numbers)
    if value.is_graph_output():
        _give(graph, value, numbers)
    producer = made.producer()
    if producer is None:
        graph.insert_before(graph[0], [quantize, dequantize])
    else:
        graph.insert_after(producer, [quantize, dequantize])


def _give(graph: ir.Graph, value: ir.Value, numbers: ir.Value) -> None:
    """Make ``numbers`` the output of the graph in the place of ``value``, under its name."""
    name = str(value.name)
    graph.outputs[list(graph.outputs).index(value)] = numbers
    value.name, numbers.name = f"{name}_exact", name


def _feeds_integers(value: ir.Value) -> bool:
    """Whether a node that sums weights reads ``value``, clamped or moved or as it is."""
    if value.is_graph_output():
        return False
    readers = [use.node for use in value.uses()]
    through = (*MOVES, "Relu", "Clip")
    return any(
        node.op_type in SUMS or (node.op_type in through and _feeds_integers(node.outputs[0]))
        for node in readers
    )


def _name_lego_outputs(graph: ir.Graph) -> None:
    """Name what leaves Lego layers as the finished file does, and as calibration does."""
    for node in lego_op.find(graph):
        if not node.y.is_graph_output():
            node.y.name = output_name(node.layer)

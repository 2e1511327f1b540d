"""Hold the weights of dense layers as integers, where what they are multiplied by is integers too.

    W    ->  DequantizeLinear(codes, scale, 0)              W[n] = scale[n] * codes[n]
    bias ->  DequantizeLinear(round(bias / s), s, 0)        s[n] = scale of the input * scale[n]

The codes of a weight are int8, those of a bias int32.
"""

from __future__ import annotations

from collections.abc import Container

import numpy as np
import onnx_ir as ir

from legoexport.errors import UsageError
from legoexport.lego.integers import bias_codes, encoded
from legoexport.lego.names import codes_name, dequantized_name, scale_name, zero_point_name
from legoexport.lego.storage import Encoded, IntegerStore
from legoexport.passes.constants import (
    add_constant,
    drop_unused_initializers,
    input_of,
    known_array,
)
from legoexport.passes.int8_nodes import sums_in_int8
from legoexport.passes.quantize_activations import is_dequantized

BIAS_INPUT = 2


class QuantizeWeights(ir.passes.InPlacePass):
    """Quantize weight and bias of every Conv and Gemm that reads integers.

    Declines Lego layers, whose lowerings make their own weights, and nodes that are to stay float.

    Args:
        store: How large codes may be.
        floats: Names of nodes that are to stay float.
    """

    def __init__(self, store: IntegerStore, floats: Container[str] = ()) -> None:
        super().__init__()
        self.store: IntegerStore = store
        self.floats = floats

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place; report whether there was a weight to quantize."""
        nodes = [node for node in model.graph if self._serves(node)]
        for node in nodes:
            self._rewrite(node, model.graph)
        return ir.passes.PassResult(model, modified=bool(nodes))

    def _serves(self, node: ir.Node) -> bool:
        return (
            not node.domain
            and str(node.name) not in self.floats
            and sums_in_int8(node)
            and is_dequantized(node.inputs[0])
        )

    def _rewrite(self, node: ir.Node, graph: ir.Graph) -> None:
        transposed = node.op_type == "Gemm" and not node.attributes.get_int("transB")
        weight, step = known_array(node.inputs[1]), float(known_array(_scale_of(node)))
        offset = known_array(node.inputs[BIAS_INPUT]).reshape(-1) if _has_bias(node) else None
        found = encoded(weight.T if transposed else weight, offset, step, self.store)
        _replace(node, 1, found, graph)
        if transposed:
            node.attributes.add(ir.AttrInt64("transB", 1))
        if offset is not None:
            codes, unit = bias_codes(offset, step, found.scale)
            _replace(node, BIAS_INPUT, Encoded(codes, unit), graph)


def _has_bias(node: ir.Node) -> bool:
    return len(node.inputs) > BIAS_INPUT and node.inputs[BIAS_INPUT] is not None


def _scale_of(node: ir.Node) -> ir.Value:
    """Return the scale of the integers that ``node`` reads."""
    producer = input_of(node, 0).producer()
    if producer is None:
        raise UsageError(f"node {node.name} reads no integers")
    return input_of(producer, 1)


def _replace(reader: ir.Node, position: int, rows: Encoded, graph: ir.Graph) -> None:
    """Let ``reader`` read numbers that integers stand for, in the place of an initializer."""
    old = input_of(reader, position)
    name = str(old.name)
    constants = {
        codes_name(name): rows.codes,
        scale_name(name): rows.scale,
        zero_point_name(name): np.zeros(len(rows.scale), rows.codes.dtype),
    }
    values = [add_constant(one, array, graph) for one, array in constants.items()]
    made = f"{reader.name}/{dequantized_name(name)}"
    node = ir.node("DequantizeLinear", values, {"axis": 0}, name=made)
    node.outputs[0].name = made
    graph.insert_before(reader, node)
    reader.replace_input_with(position, node.outputs[0])
    drop_unused_initializers([old])

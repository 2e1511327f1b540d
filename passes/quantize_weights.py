"""Hold the weights of dense layers as integers, where what they are multiplied by is integers too.

    W    ->  DequantizeLinear(codes, scale, 0)                    W[n] = scale[n] * codes[n]
    bias ->  DequantizeLinear(round(bias / s), s, 0), int32       s[n] = scale of the input * scale[n]
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.lego.integers import bias_codes, encoded
from legoexport.lego.names import codes_name, dequantized_name, scale_name, zero_point_name
from legoexport.lego.storage import IntegerStore
from legoexport.passes.constants import add_constant, constant_array, drop_unused_initializers
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
        transposed = node.op_type == "Gemm" and not node.attributes.get_int("transB", 0)
        weight, bias = node.inputs[1], _bias(node)
        offset = None if bias is None else _array(bias).reshape(-1)
        step = _input_scale(node)
        found = encoded(_array(weight).T if transposed else _array(weight), offset, step, self.store)
        codes = np.ascontiguousarray(found.codes.T) if transposed else found.codes
        axis = 1 if transposed else 0
        node.replace_input_with(1, _dequantize(weight, codes, found.scale, axis, node, graph))
        if bias is not None and offset is not None:
            whole, scale = bias_codes(offset, step, found.scale)
            node.replace_input_with(BIAS_INPUT, _dequantize(bias, whole, scale, 0, node, graph))
        drop_unused_initializers([weight, bias])


def _bias(node: ir.Node) -> ir.Value | None:
    return node.inputs[BIAS_INPUT] if len(node.inputs) > BIAS_INPUT else None


def _array(value: ir.Value | None) -> NDArray[Any]:
    array = constant_array(value)
    assert array is not None  # sums_in_int8 says so
    return array


def _input_scale(node: ir.Node) -> float:
    numbers = node.inputs[0]
    producer = None if numbers is None else numbers.producer()
    assert producer is not None  # is_dequantized says so
    return float(_array(producer.inputs[1]))


def _dequantize(
    old: ir.Value | None,
    codes: NDArray[np.generic],
    scale: NDArray[np.float32],
    axis: int,
    reader: ir.Node,
    graph: ir.Graph,
) -> ir.Value:
    assert old is not None
    name = str(old.name)
    constants = {
        codes_name(name): codes,
        scale_name(name): scale,
        zero_point_name(name): np.zeros(len(scale), codes.dtype),
    }
    values = [add_constant(one, array, graph) for one, array in constants.items()]
    made = f"{reader.name}/{dequantized_name(name)}"
    node = ir.node("DequantizeLinear", values, {"axis": axis}, name=made)
    node.outputs[0].name = made
    graph.insert_before(reader, node)
    return node.outputs[0]

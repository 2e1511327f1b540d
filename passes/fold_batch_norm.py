"""Fold a BatchNormalization into the tables of the layer before it.

    s = scale / sqrt(var + eps)
    coefficient[i, n] *= s[n]        bias[n] = (bias[n] - mean[n]) * s[n] + shift[n]

for a Lego layer (LegoNet, Eq. 4, is linear in the coefficients, so the bank stays untouched), and
W[n] *= s[n] with the same bias for an ordinary Conv. Computed in float64, stored in float32.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.passes import lego_op
from legoexport.passes.conditions import ensure, lego_problems, require
from legoexport.passes.constants import constant_array, drop_unused_initializers, set_constant

Array = NDArray[np.float64]


class FoldBatchNorm(ir.passes.InPlacePass):
    """Fold every BatchNormalization that alone reads the output of a LegoConv2d or Conv node.

    Declines where the layer's output is read elsewhere, is a graph output, or where the statistics
    are not constants: then scaling the tables would change what the other reader sees. Also where
    float32 does not hold the scaled tables.
    """

    def requires(self, model: ir.Model) -> None:
        """Every LegoConv2d node has its tables, in the shapes of one Lego layer."""
        require(self, lego_problems(model))

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold in place; report whether anything was folded."""
        norms = [node for node in model.graph if _is_norm_with_statistics(node)]
        folded = [_fold(node, model.graph) for node in norms]
        return ir.passes.PassResult(model, modified=any(folded))

    def ensures(self, model: ir.Model) -> None:
        """Every LegoConv2d node still has them."""
        ensure(self, lego_problems(model))


def _is_norm_with_statistics(node: ir.Node) -> bool:
    """Whether ``node`` normalizes by stored statistics, not by those of the batch at hand."""
    training = node.attributes.get_int("training_mode", 0)
    return node.op_type == "BatchNormalization" and node.domain == "" and not training


def _fold(norm: ir.Node, graph: ir.Graph) -> bool:
    x = norm.inputs[0]
    producer = None if x is None else x.producer()
    if x is None or producer is None or len(x.uses()) != 1 or x.is_graph_output():
        return False
    statistics = [constant_array(value) for value in norm.inputs[1:5]]
    if any(array is None for array in statistics):
        return False
    gain, shift, mean, var = (np.asarray(array, np.float64) for array in statistics)
    epsilon = norm.attributes.get_float("epsilon", 1e-5)
    scale = gain / np.sqrt(var + epsilon)
    if not _scale_producer(producer, scale, mean, shift):
        return False
    _bypass(norm, x, graph)
    return True


def _scale_producer(producer: ir.Node, scale: Array, mean: Array, shift: Array) -> bool:
    if producer.domain == lego_op.DOMAIN:
        return _scale_lego(lego_op.read(producer), scale, mean, shift)
    if producer.op_type == "Conv" and producer.domain == "":
        return _scale_conv(producer, scale, mean, shift)
    return False


def _scale_lego(lego_node: lego_op.LegoNode, scale: Array, mean: Array, shift: Array) -> bool:
    frozen = lego_node.frozen
    bias = (0.0 if frozen.bias is None else frozen.bias.astype(np.float64)) - mean
    tables = _in_float32(frozen.coefficient * scale, bias * scale + shift)
    if tables is None:
        return False
    coefficient, offset = tables
    lego_op.write_tables(lego_node, replace(frozen, coefficient=coefficient, bias=offset))
    return True


def _scale_conv(conv: ir.Node, scale: Array, mean: Array, shift: Array) -> bool:
    weight = constant_array(conv.inputs[1])
    old_bias = constant_array(conv.inputs[2]) if len(conv.inputs) > 2 else np.zeros_like(mean)  # noqa: PLR2004
    if weight is None or old_bias is None:
        return False
    name = conv.inputs[1].name if conv.inputs[1] is not None else conv.name
    bias = (old_bias.astype(np.float64) - mean) * scale + shift
    tables = _in_float32(weight.astype(np.float64) * scale.reshape(-1, 1, 1, 1), bias)
    if tables is None:
        return False
    scaled, offset = tables
    set_constant(conv, 1, f"{name}", scaled)
    set_constant(conv, 2, f"{name}/folded_bias", offset)
    return True


def _in_float32(*tables: Array) -> list[NDArray[np.float32]] | None:
    """Return ``tables`` rounded; None if one of them leaves the range."""
    with np.errstate(over="ignore"):
        rounded = [one.astype(np.float32) for one in tables]
    return rounded if all(np.isfinite(one).all() for one in rounded) else None


def _bypass(norm: ir.Node, x: ir.Value, graph: ir.Graph) -> None:
    """Let the readers of ``norm`` read ``x``; drop ``norm`` and statistics nobody else reads."""
    y = norm.outputs[0]
    name_of_output = y.name if y.is_graph_output() else None
    ir.convenience.replace_all_uses_with(y, x, replace_graph_outputs=True)
    statistics = list(norm.inputs[1:5])
    graph.remove(norm, safe=True)
    drop_unused_initializers(statistics)
    if name_of_output is not None:
        y.name, x.name = None, name_of_output

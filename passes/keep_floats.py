"""Keep float what ONNX Runtime would compute in integers of its own, or wrongly in integers.

    Q(f(DQ(X)))   ->   Q(max(f(DQ(X)), -3.4e38))

f is a sum of float weights that the plan keeps. ONNX Runtime 1.32 would quantize the weights itself
(its WeightBiasQuantization): to codes up to 127 whatever the processor bears, unseen by the plan,
and up to 55 steps off on x86 without VNNI. Or f is an AveragePool whose windows reach behind the
padding (ceil_mode) and count it (count_include_pad): in integers, though not in float, they count
what lies behind it as well, and come out dozens of steps off.

ONNX Runtime looks for a Q right behind f, and first moves one there past a Relu, a Clip or whatever
only moves numbers. The maximum with the lowest float32 changes no number and stays where it is.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from legoexport.passes.constants import add_constant
from legoexport.passes.int8_nodes import CLAMPS, MOVES
from legoexport.passes.quantize_activations import is_dequantized

FLOAT_SUMS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
LOWEST = np.array(np.finfo(np.float32).min, np.float32)


class KeepFloats(ir.passes.InPlacePass):
    """Put a Max behind such sums and pools that read integers and whose result becomes integers.

    Declines sums whose weight is integers, other pools, and nodes before other arithmetic.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place; report whether there was such a node."""
        graph = model.graph
        nodes = [node for node in graph if _would_be_quantized(node)]
        if nodes:
            lowest = add_constant("lowest_float", LOWEST, graph)
            for node in nodes:
                _hold(node, lowest, graph)
        return ir.passes.PassResult(model, modified=bool(nodes))


def _would_be_quantized(node: ir.Node) -> bool:
    return (
        not node.domain
        and (_sums_floats(node) or _counts_what_lies_behind(node))
        and is_dequantized(node.inputs[0])
        and _becomes_integers(node.outputs[0])
    )


def _sums_floats(node: ir.Node) -> bool:
    return node.op_type in FLOAT_SUMS and not is_dequantized(node.inputs[1])


def _counts_what_lies_behind(node: ir.Node) -> bool:
    """Whether a pool asks for both attributes that the integer kernel mixes up."""
    asked = ("ceil_mode", "count_include_pad")
    return node.op_type == "AveragePool" and all(node.attributes.get_int(one, 0) for one in asked)


def _becomes_integers(value: ir.Value) -> bool:
    """Whether ``value`` is quantized, clamped or moved or as it is."""
    return any(
        use.node.op_type == "QuantizeLinear"
        or (use.node.op_type in (*CLAMPS, *MOVES) and _becomes_integers(use.node.outputs[0]))
        for use in value.uses()
    )


def _hold(node: ir.Node, lowest: ir.Value, graph: ir.Graph) -> None:
    """Let all that reads the node read its Max, under the name that its output had."""
    made = node.outputs[0]
    name = str(made.name)
    kept = ir.node("Max", [made, lowest], name=f"{node.name}_in_float")
    numbers = kept.outputs[0]
    numbers.shape, numbers.type = made.shape, made.type
    for use in [use for use in made.uses() if use.node is not kept]:
        use.node.replace_input_with(use.idx, numbers)
    made.name, numbers.name = f"{name}_sum", name
    graph.insert_after(node, kept)

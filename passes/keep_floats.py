"""Keep sums of weights in float where the plan says so and integers stand on both sides.

    Q(conv(DQ(X), W))   ->   Q(max(conv(DQ(X), W), -3.4e38))         W: float32, not behind a DQ

ONNX Runtime 1.32 would quantize W itself (its WeightBiasQuantization): to codes up to 127 whatever
the processor bears, unseen by the plan, and up to 55 steps off on x86 without VNNI. It looks for
a Q right behind the sum, and first moves one there past a Relu, a Clip or whatever only moves
numbers. The maximum with the lowest float32 changes no number and stays where it is.
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
    """Put a Max behind float sums that read integers and whose result becomes integers.

    Declines sums whose weight is integers, and those behind which other arithmetic stands.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place; report whether there was such a sum."""
        graph = model.graph
        sums = [node for node in graph if _would_be_quantized(node)]
        if sums:
            lowest = add_constant("lowest_float", LOWEST, graph)
            for node in sums:
                _hold(node, lowest, graph)
        return ir.passes.PassResult(model, modified=bool(sums))


def _would_be_quantized(node: ir.Node) -> bool:
    return (
        node.op_type in FLOAT_SUMS
        and not node.domain
        and is_dequantized(node.inputs[0])
        and not is_dequantized(node.inputs[1])
        and _becomes_integers(node.outputs[0])
    )


def _becomes_integers(value: ir.Value) -> bool:
    """Whether ``value`` is quantized, clamped or moved or as it is."""
    return any(
        use.node.op_type == "QuantizeLinear"
        or (use.node.op_type in (*CLAMPS, *MOVES) and _becomes_integers(use.node.outputs[0]))
        for use in value.uses()
    )


def _hold(node: ir.Node, lowest: ir.Value, graph: ir.Graph) -> None:
    """Let all that reads the sum read its Max, under the name that the sum had."""
    summed = node.outputs[0]
    name = str(summed.name)
    kept = ir.node("Max", [summed, lowest], name=f"{node.name}_in_float")
    numbers = kept.outputs[0]
    numbers.shape, numbers.type = summed.shape, summed.type
    for use in [use for use in summed.uses() if use.node is not kept]:
        use.node.replace_input_with(use.idx, numbers)
    summed.name, numbers.name = f"{name}_sum", name
    graph.insert_after(node, kept)

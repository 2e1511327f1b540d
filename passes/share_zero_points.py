"""Keep one of the zero points of biases that are equal: they are nothing but zeros.

    (a - zeros_a) * scale_a,  (b - zeros_b) * scale_b   ->   the same, with zeros for both

A bias has an int32 zero for each channel, so that a network of many layers holds as many bytes of
zeros as of biases. Zero points of int8 stay as they are: with ``session.x64quantprecision``, ONNX
Runtime 1.32 makes each weight's uint8 twin under the name of its zero point, and gives up if two
have one. Those of activations are single integers.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx_ir as ir

from legoexport.lego.names import zero_point_name
from legoexport.passes.constants import drop_unused_initializers, known_array, unique_name

ZERO_POINT_INPUT = 2


class ShareZeroPoints(ir.passes.InPlacePass):
    """Let all biases of one length read the one initializer that holds their zeros.

    Declines a zero point of int8 or of a single integer, one that is not zero, and one of a kind.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place; report whether any were equal."""
        equal = [values for values in _zeros(model.graph).values() if len(values) > 1]
        for values in equal:
            _share(values, model.graph)
        return ir.passes.PassResult(model, modified=bool(equal))


def _zeros(graph: ir.Graph) -> dict[int, list[ir.Value]]:
    """Group zero points of biases by their length, in the order of their nodes."""
    found: defaultdict[int, dict[str, ir.Value]] = defaultdict(dict)
    for node in graph:
        if node.op_type == "DequantizeLinear" and len(node.inputs) > ZERO_POINT_INPUT:
            value = node.inputs[ZERO_POINT_INPUT]
            if value is not None and value.is_initializer():
                array = known_array(value)
                if array.ndim == 1 and array.dtype == np.int32 and not array.any():
                    found[len(array)][str(value.name)] = value
    return {length: list(values.values()) for length, values in found.items()}


def _share(values: list[ir.Value], graph: ir.Graph) -> None:
    """Let all that read ``values`` read the first, and call it after what it is."""
    kept, *others = values
    for other in others:
        ir.convenience.replace_all_uses_with(other, kept)
    drop_unused_initializers(others)
    name = f"bias_of_{len(known_array(kept))}"
    kept.name = unique_name(zero_point_name(name), graph)

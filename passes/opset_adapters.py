"""Operators that opset 18 redefined, said in the words of opset 13 to 17.

onnx 1.23's version converter has no way back for Split and writes an invalid ReduceMean, so these
are adapted here; everything else is left to it.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from legoexport.passes.constants import constant_array, drop_unused_initializers

REDUCTIONS = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
              "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare")  # fmt: skip


def adapt_split(node: ir.Node) -> bool:
    """``num_outputs`` is implied before 18 where the parts are equal."""
    if "num_outputs" not in node.attributes:
        return True
    shapes = [output.shape for output in node.outputs]
    if None in shapes or any(shape != shapes[0] for shape in shapes):
        return False
    node.attributes.pop("num_outputs")
    return True


def adapt_reduction(node: ir.Node) -> bool:
    """``axes`` was an attribute before 18, and ``noop_with_empty_axes`` did not exist."""
    axes = constant_array(node.inputs[1]) if len(node.inputs) > 1 else None
    if axes is None or node.attributes.get_int("noop_with_empty_axes", 0) != 0:
        return False
    source = node.inputs[1]
    node.attributes.pop("noop_with_empty_axes", None)
    node.attributes["axes"] = ir.AttrInt64s("axes", [int(axis) for axis in axes])
    node.resize_inputs(1)
    drop_unused_initializers([source])
    return True


def adapt_pad(node: ir.Node) -> bool:
    """Without its fourth input, ``axes``, Pad means what it meant before 18."""
    return len(node.inputs) <= 3  # noqa: PLR2004


def adapt_mish(node: ir.Node) -> bool:
    """Mish(X) = X * Tanh(Softplus(X)); the operator came with 18."""
    graph, x = node.graph, node.inputs[0]
    if not isinstance(graph, ir.Graph) or x is None:
        return False
    softplus = ir.node("Softplus", [x], name=f"{node.name}_softplus")
    tanh = ir.node("Tanh", [softplus.outputs[0]], name=f"{node.name}_tanh")
    graph.insert_before(node, [softplus, tanh])
    node.op_type = "Mul"
    node.resize_inputs(2)
    node.replace_input_with(1, tanh.outputs[0])
    return True


ADAPTERS: dict[str, Callable[[ir.Node], bool]] = {
    "Split": adapt_split,
    "Pad": adapt_pad,
    "Mish": adapt_mish,
    **dict.fromkeys(REDUCTIONS, adapt_reduction),
}
REDEFINED_IN_OPSET = 18

"""Which nodes can compute in integers, and which only move them.

The two passes that quantize, and whoever calibrates for them, read the same lists.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from legoexport.passes import lego_op
from legoexport.passes.constants import constant_array

# Of two dimensions: other ranks have no integer kernel everywhere.
IMAGE_WEIGHT_RANK = 4
MATRIX_RANK = 2
# They sum weights: their input and their output are integers.
SUMS = ("Conv", "Gemm", lego_op.OP_TYPE)
# They combine what is quantized already, with integers of their own for the result.
COMBINES = ("Add", "Concat", "AveragePool", "GlobalAveragePool")
# They move or choose integers: the result has those of the input.
MOVES = ("MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze")
# The integers of what leaves them can do without them.
CLAMPS = ("Relu", "Clip")


def stays_float(node: ir.Node) -> str | None:
    """Return why a node that sums weights cannot do it in integers, or None if it can."""
    if node.domain == lego_op.DOMAIN:
        return None
    weight = constant_array(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None  # noqa: PLR2004
    if weight is None or (bias is not None and constant_array(bias) is None):
        return "its weight or its bias is computed"
    if node.op_type == "Conv":
        return None if weight.ndim == IMAGE_WEIGHT_RANK else "it is no convolution of images"
    plain = node.attributes.get_float("alpha", 1.0) == node.attributes.get_float("beta", 1.0) == 1.0
    if not plain or node.attributes.get_int("transA") or weight.ndim != MATRIX_RANK:
        return "it scales or transposes what it multiplies"
    return None


def sums_in_int8(node: ir.Node) -> bool:
    """Whether a node sums weights and can do it in integers."""
    return node.op_type in SUMS and stays_float(node) is None


def clamp_after(value: ir.Value) -> ir.Node | None:
    """Return the Relu or the Clip that alone reads ``value`` and lets no negative number pass."""
    uses = value.uses()
    if value.is_graph_output() or len(uses) != 1:
        return None
    (use,) = uses
    clamps = use.node.op_type in CLAMPS and use.idx == 0 and upper_limit(use.node) is not None
    return use.node if clamps else None


def upper_limit(node: ir.Node) -> float | None:
    """Return the largest number that a Relu or a Clip from zero lets pass; None if it is neither.

    It is infinite for Relu and for a Clip without ``max``.
    """
    if node.op_type == "Relu":
        return math.inf
    low, high = (
        constant_array(node.inputs[i]) if len(node.inputs) > i and node.inputs[i] else default
        for i, default in ((1, -math.inf), (2, math.inf))
    )
    if node.op_type != "Clip" or low is None or high is None or float(low) != 0:
        return None
    return float(high)

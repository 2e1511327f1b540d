"""What one operator gives for real numbers, in float64: all but Conv and Gemm, which are exact.

A quantized operator computes on the numbers that its integers stand for and rounds once. Moving
integers is exact; sums and means are computed in float32, or in fixed point on ARM.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from legoexport.errors import UsageError
from legoexport.parity.difference import shortened
from legoexport.parity.integer.arithmetic import Reals, Window

# Fixed point on ARM keeps 22 bits of each ratio of scales; a step of the output has 8.
ROUNDINGS = 2.0**-20
# Tables and sums of a few terms, each with its own rounding.
LEAST_DOUBT = 2.0**-9
POOLS = ("MaxPool", "AveragePool")


class NotComputed(Exception):  # noqa: N818 - no error: the value is checked in another way
    """ONNX's reference implementation does not compute a node."""


def doubt_of(steps: Reals, inputs: Sequence[NDArray[Any]], scale: float) -> Reals:
    """Return how far a runtime may be from ``steps`` before it rounds.

    Args:
        steps: The output in units of its ``scale``.
        inputs: The real numbers that it was computed from.
        scale: Of the output.
    """
    largest = max((float(np.abs(one).max(initial=0.0)) for one in inputs), default=0.0)
    return ROUNDINGS * (np.abs(steps) + largest / scale) + LEAST_DOUBT


def compute(
    node: onnx.NodeProto, inputs: Sequence[NDArray[Any] | None], opset: int
) -> list[NDArray[Any]]:
    """Return the outputs of a node for numbers in float64.

    Args:
        node: Any node without a graph of its own.
        inputs: Its inputs; None for those that it leaves out.
        opset: Of the default domain.

    Raises:
        NotComputed: Nothing but a runtime computes it.
    """
    if node.op_type in POOLS and inputs[0] is not None:
        return [_pool(node, inputs[0])]
    if node.op_type == "GlobalAveragePool" and inputs[0] is not None:
        axes = tuple(range(2, inputs[0].ndim))
        return [inputs[0].mean(axis=axes, keepdims=True)]
    return _reference(node, inputs, opset)


def window_of(node: onnx.NodeProto, kernel: Sequence[int]) -> Window:
    """Read how the kernel of a Conv or a pool moves.

    Raises:
        UsageError: It pads by a rule, as PyTorch's exporter never writes it.
    """
    read = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    rule = read.get("auto_pad", b"NOTSET")
    if rule not in (b"NOTSET", b"VALID"):
        raise UsageError(
            f"node {node.name}: the size of its output is not stated",
            received=f"auto_pad {rule!r}",
            legal="explicit pads",
        )
    rank = len(kernel)
    pads = list(read.get("pads", [0] * 2 * rank))
    return Window(
        stride=tuple(read.get("strides", [1] * rank)),
        before=tuple(pads[:rank]),
        after=tuple(pads[rank:]),
        dilation=tuple(read.get("dilations", [1] * rank)),
        group=int(read.get("group", 1)),
    )


def _pool(node: onnx.NodeProto, x: NDArray[Any]) -> Reals:
    read = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    kernel = tuple(read["kernel_shape"])
    window = window_of(node, kernel)
    behind = _behind(window, x.shape[2:], kernel) if read.get("ceil_mode", 0) else [0] * len(kernel)
    more = [(0, 0), (0, 0), *((0, one) for one in behind)]
    if node.op_type == "MaxPool":
        padded = np.pad(window.padded(x, -math.inf), more, constant_values=-math.inf)
        return np.asarray(np.maximum.reduce(list(window.taps(padded, kernel))))
    # Padding may count; what a last window reads behind it never does.
    ones = window.padded(np.ones((1, 1, *x.shape[2:])), read.get("count_include_pad", 0))
    total, counted = (
        sum(window.taps(np.pad(one, more), kernel), np.float64(0))
        for one in (window.padded(x), ones)
    )
    return np.asarray(total / counted)


def _behind(window: Window, size: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Return how far the last position reaches behind the padding where sizes are rounded up."""
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, window.dilation, strict=True)]
    axes = zip(size, window.before, window.after, window.stride, reach, strict=True)
    return [_overhang(s, before, after, step, r) for s, before, after, step, r in axes]


def _overhang(size: int, before: int, after: int, step: int, reach: int) -> int:
    """As PyTorch and ONNX have it, a position that starts behind the input is left out."""
    padded = before + size + after
    start = -(-(padded - reach) // step) * step
    return start + reach - padded if start < before + size else 0


def _reference(
    node: onnx.NodeProto, inputs: Sequence[NDArray[Any] | None], opset: int
) -> list[NDArray[Any]]:
    """Compute a node by the reference implementation that comes with ONNX.

    Raises:
        NotComputed: It does not compute this one.
    """
    given = {
        name: array
        for name, array in zip(node.input, inputs, strict=True)
        if name and array is not None
    }
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), None)
        for name, array in given.items()
    ]
    results = [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, None) for name in node.output
    ]
    graph = helper.make_graph([node], "node", declared, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        return list(ReferenceEvaluator(model).run(None, given))
    except Exception as error:  # it lacks operators, and computes some of them in part
        raise NotComputed(f"node {node.name}, {node.op_type}: {shortened(error)}") from error

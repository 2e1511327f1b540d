"""Multiply-adds of a graph's ordinary convolutions and linear layers: all that is not Lego."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import onnx
from onnx import shape_inference

from legoexport.errors import UsageError
from legoexport.inspect.own_counts import own_counts
from legoexport.lego.names import owner

Shapes = Mapping[str, tuple[int | None, ...]]


def dense_macs(model: onnx.ModelProto) -> int:
    """Count Conv, Gemm and MatMul nodes with stored weights, outside Lego layers, for one image.

    Raises:
        UsageError: The size of a map is not a fixed number.
    """
    weights = _weights(model.graph)
    shapes = _shapes(shape_inference.infer_shapes(model, data_prop=True).graph)
    return sum(
        weights[node.input[1]] * _positions(node, shapes)
        for node in model.graph.node
        if node.op_type in ("Conv", "Gemm", "MatMul")
        and node.input[1] in weights
        and owner(node.name) is None
    )


def _weights(graph: onnx.GraphProto) -> dict[str, int]:
    """Count the network's numbers in each stored tensor, and in each decoded from codes."""
    counts = own_counts(graph)
    for node in graph.node:
        decodes = node.op_type in ("Cast", "Mul", "DequantizeLinear")
        if decodes and all(name in counts for name in node.input):
            counts[node.output[0]] = max(counts[name] for name in node.input)
    return counts


def _positions(node: onnx.NodeProto, shapes: Shapes) -> int:
    """Return how often one image meets each weight: the pixels of a Conv, the rows of a MatMul."""
    shape = shapes.get(node.output[0], ())
    sizes = shape[2:] if node.op_type == "Conv" else shape[1:-1]
    known = [size for size in sizes if size is not None]
    if not shape or len(known) < len(sizes):
        raise UsageError(
            f"node {node.name}: the size of its output must be fixed",
            received=shape,
            next_step="convert with --input-size H W",
        )
    return prod(known)


def _shapes(graph: onnx.GraphProto) -> Shapes:
    values = [*graph.input, *graph.value_info, *graph.output]
    return {value.name: _sizes(value.type.tensor_type.shape) for value in values}


def _sizes(shape: onnx.TensorShapeProto) -> tuple[int | None, ...]:
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in shape.dim)

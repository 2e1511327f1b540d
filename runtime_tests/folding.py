"""Constants folded as other tools do it, by the reference that defines the operators."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator


def fold(model: onnx.ModelProto, *, drop_metadata: bool = False) -> onnx.ModelProto:
    """Store what nodes make of constants alone, and drop what nothing reads any more."""
    held = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        # Simplifiers leave DequantizeLinear of a constant, which marks a weight in int8.
        if set(filter(None, node.input)) <= held.keys() and node.op_type != "DequantizeLinear":
            held |= zip(node.output, _computed(node, held, model), strict=True)
        else:
            kept.append(node)
    read = [name for name in dict.fromkeys(n for node in kept for n in node.input) if name in held]
    folded = onnx.ModelProto()
    folded.CopyFrom(model)
    del folded.graph.node[:], folded.graph.initializer[:]
    folded.graph.node.extend(kept)
    folded.graph.initializer.extend(numpy_helper.from_array(held[name], name) for name in read)
    if drop_metadata:
        del folded.metadata_props[:]
    return folded


def renamed(model: onnx.ModelProto, old: str, new: str) -> onnx.ModelProto:
    """Call an initializer otherwise, as tools do that number what they make."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    next(one for one in other.graph.initializer if one.name == old).name = new
    for node in other.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
    return other


def merged(model: onnx.ModelProto) -> onnx.ModelProto:
    """Let all readers of equal constants read the first of them."""
    other = onnx.ModelProto()
    other.CopyFrom(model)
    first: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        key = (str(array.dtype), array.shape, array.tobytes())
        kept = first.setdefault(key, tensor.name)
        for node in other.graph.node:
            node.input[:] = [kept if name == tensor.name else name for name in node.input]
    tensors = [one for one in model.graph.initializer if one.name in set(first.values())]
    del other.graph.initializer[:]
    other.graph.initializer.extend(tensors)
    return other


def _computed(
    node: onnx.NodeProto, held: dict[str, np.ndarray], model: onnx.ModelProto
) -> list[np.ndarray]:
    given = {name: held[name] for name in filter(None, node.input)}
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in given.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
    graph = helper.make_graph([node], "one", inputs, outputs)
    alone = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    return [np.asarray(one) for one in ReferenceEvaluator(alone).run(None, given)]

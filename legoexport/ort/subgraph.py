"""Cut one layer out of a model, so that it can be fed by itself."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper


def cut_layer(
    model: onnx.ModelProto,
    input_name: str,
    output_name: str,
    input_shape: tuple[int | str, ...],
    input_type: TensorProto.DataType = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """Return the part of ``model`` that computes value ``output_name`` from ``input_name``.

    Args:
        model: A model in topological order.
        input_name: The value that becomes the only input.
        output_name: The value that becomes the only output.
        input_shape: Its shape; a string leaves a size open.
        input_type: Type of its elements.
    """
    wanted, nodes = {output_name}, []
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output) and input_name not in node.output:
            nodes.append(node)
            wanted.update(node.input)
    graph = helper.make_graph(
        nodes[::-1],
        "layer",
        [helper.make_tensor_value_info(input_name, input_type, input_shape)],
        [onnx.ValueInfoProto(name=output_name)],
        [tensor for tensor in model.graph.initializer if tensor.name in wanted],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)

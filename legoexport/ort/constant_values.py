"""What a file computes from its constants alone, as ONNX Runtime computes it when it loads it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from legoexport.errors import UsageError
from legoexport.operators import KERNEL_OPS
from legoexport.ort.session import FATAL_ONLY, open_session

STANDARD_DOMAINS = ("", "ai.onnx")


def constant_values(model: onnx.ModelProto) -> dict[str, NDArray[Any]]:
    """Return every value that nodes compute from stored tensors and from nothing else, by name.

    The nodes run one by one in this ONNX Runtime, on the kernels by which it folds them.

    Raises:
        UsageError: ONNX Runtime does not load them, or does not run them.
    """
    nodes = list(_constant_nodes(model.graph))
    names = [name for node in nodes for name in node.output if name]
    if not names:
        return {}
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = FATAL_ONLY
    session = open_session(_alone(model, nodes, names).SerializeToString(), options)
    try:
        arrays = session.run(names, {})
    except Exception as error:
        raise UsageError(
            "onnxruntime does not compute the constants of the model", received=error
        ) from None
    return {name: np.asarray(array) for name, array in zip(names, arrays, strict=True)}


def _constant_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield nodes that read constants alone; what a caller may feed is none."""
    known = {tensor.name for tensor in graph.initializer} - {one.name for one in graph.input}
    for node in graph.node:
        is_known = known.issuperset(filter(None, node.input))
        if is_known and node.domain in STANDARD_DOMAINS and node.op_type in KERNEL_OPS:
            known.update(node.output)
            yield node


def _alone(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], names: list[str]
) -> onnx.ModelProto:
    read = {name for node in nodes for name in node.input}
    stored = [tensor for tensor in model.graph.initializer if tensor.name in read]
    outputs = [onnx.ValueInfoProto(name=name) for name in names]
    graph = helper.make_graph(nodes, "constants", [], outputs, stored)
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)

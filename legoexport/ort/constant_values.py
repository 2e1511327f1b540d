"""What a model computes from its initializers alone, and what ONNX Runtime therefore folds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import helper

from legoexport.ort.session import FATAL_ONLY, open_session


def constant_values(model: onnx.ModelProto) -> Mapping[str, NDArray[Any]]:
    """Return every value that follows from initializers alone, by name.

    Args:
        model: A model in topological order.

    Raises:
        UsageError: ONNX Runtime does not load the nodes that compute them.
    """
    known = {tensor.name for tensor in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.input and known.issuperset(name for name in node.input if name):
            nodes.append(node)
            known.update(node.output)
    if not nodes:
        return {}
    names = [name for node in nodes for name in node.output if name]
    outputs = [onnx.ValueInfoProto(name=name) for name in names]
    graph = helper.make_graph(nodes, "constants", [], outputs, model.graph.initializer)
    alone = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = FATAL_ONLY
    session = open_session(alone.SerializeToString(), options)
    return dict(zip(names, map(np.asarray, session.run(None, {})), strict=True))

"""Cut a part out of a model, so that it can be fed by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from legoexport.ort.session import FATAL_ONLY, open_session, run_session


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
    given = [helper.make_tensor_value_info(input_name, input_type, input_shape)]
    return _part(model, given, [output_name])


def run_between(
    model: onnx.ModelProto, given: Mapping[str, NDArray[Any]], wanted: Sequence[str]
) -> Mapping[str, NDArray[Any]]:
    """Return the values ``wanted`` of one run in which the values ``given`` are what they are.

    A value may be both: then it is computed, and what reads it gets the given one.

    Args:
        model: A model in topological order.
        given: Inputs and other values by name, in float32.
        wanted: Names of values that nodes compute.

    Raises:
        UsageError: ONNX Runtime does not load the part between them.
        CheckFailed: It stops with an error.
    """
    if not wanted:
        return {}
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        for name, array in given.items()
    ]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    session = open_session(_part(model, inputs, wanted).SerializeToString(), options)
    return dict(zip(wanted, run_session(session, given), strict=True))


def _part(
    model: onnx.ModelProto, given: Sequence[onnx.ValueInfoProto], wanted: Sequence[str]
) -> onnx.ModelProto:
    """Return what computes ``wanted`` where ``given`` are inputs; one that is both is renamed."""
    computed = {one.name: f"{one.name}/computed" for one in given}
    outputs = [computed.get(name, name) for name in wanted]
    needed, nodes = set(outputs), []
    for original in reversed(model.graph.node):
        node = onnx.NodeProto()
        node.CopyFrom(original)
        node.output[:] = [computed.get(name, name) for name in node.output]
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    graph = helper.make_graph(
        nodes[::-1],
        "part",
        given,
        [onnx.ValueInfoProto(name=name) for name in outputs],
        [tensor for tensor in model.graph.initializer if tensor.name in needed],
    )
    return helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)

"""Several small models as one, to be run in one process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

IMAGES, OUTPUTS = "images", "outputs"


def side_by_side(models: Sequence[onnx.ModelProto], channels: int) -> bytes:
    """One model that gives its first channels to each of ``models`` and joins their flat outputs.

    Args:
        models: Each takes ``(b, c, h, w)``, all with the same open b, h and w.
        channels: Of the images that the whole takes; at least the largest c.
    """
    parts = [compose.add_prefix(model, f"part_{i}_") for i, model in enumerate(models)]
    _, _, height, width = _shape(parts[0])
    graph = helper.make_graph([], "side_by_side", [], [])
    graph.input.append(_value(IMAGES, ["b", channels, height, width]))
    graph.output.append(_value(OUTPUTS, ["b", None]))
    graph.initializer.extend([_integer("zero", 0), _integer("axis", 1)])
    for i, part in enumerate(parts):
        _attach(graph, part.graph, i, _shape(part)[1])
    flat = [f"flat_{i}" for i in range(len(parts))]
    graph.node.append(helper.make_node("Concat", flat, [OUTPUTS], axis=1))
    model = helper.make_model(
        graph, opset_imports=models[0].opset_import, ir_version=models[0].ir_version
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def split(
    outputs: NDArray[np.float32], shapes: Sequence[tuple[int, ...]]
) -> list[NDArray[np.float32]]:
    """Take the flat outputs of such a model apart again; ``shapes`` with the batch."""
    sizes = [int(np.prod(shape[1:])) for shape in shapes]
    assert outputs.shape[1] == sum(sizes)
    pieces = np.split(outputs, np.cumsum(sizes)[:-1], axis=1)
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes, strict=True)]


def _attach(graph: onnx.GraphProto, part: onnx.GraphProto, i: int, channels: int) -> None:
    graph.initializer.append(_integer(f"end_{i}", channels))
    slice_inputs = [IMAGES, "zero", f"end_{i}", "axis"]
    graph.node.append(helper.make_node("Slice", slice_inputs, [part.input[0].name]))
    graph.node.extend(part.node)
    graph.initializer.extend(part.initializer)
    graph.node.append(helper.make_node("Flatten", [part.output[0].name], [f"flat_{i}"], axis=1))


def _shape(model: onnx.ModelProto) -> list[int]:
    return [one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim]


def _value(name: str, shape: Sequence[str | int | None]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _integer(name: str, number: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([number], np.int64), name)

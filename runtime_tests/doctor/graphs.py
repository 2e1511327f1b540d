"""Small graphs of convolutions, each with one thing a case looks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


@dataclass(frozen=True)
class Conv:
    """One convolution of a chain; attributes as ONNX names them."""

    weight: NDArray[Any]
    attributes: dict[str, Any] = field(default_factory=dict)
    bias: NDArray[Any] | None = None


def weight(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def chain(
    layers: Sequence[Conv], *, batch: int | str = 1, opset: int = 17, ir_version: int = 8
) -> onnx.ModelProto:
    """The layers one after the other, from a map of 20x20; nodes are called conv_0, conv_1, ..."""
    first = layers[0]
    channels = first.weight.shape[1] * first.attributes.get("group", 1)
    kind = helper.np_dtype_to_tensor_dtype(first.weight.dtype)
    nodes, constants = [], []
    for i, layer in enumerate(layers):
        inputs = [f"x{i}", f"w{i}"]
        constants.append(numpy_helper.from_array(layer.weight, f"w{i}"))
        if layer.bias is not None:
            constants.append(numpy_helper.from_array(layer.bias, f"b{i}"))
            inputs.append(f"b{i}")
        node = helper.make_node("Conv", inputs, [f"x{i + 1}"], f"conv_{i}", **layer.attributes)
        nodes.append(node)
    x = helper.make_tensor_value_info("x0", kind, [batch, channels, 20, 20])
    y = helper.make_tensor_value_info(f"x{len(layers)}", kind, [batch, None, None, None])
    graph = helper.make_graph(nodes, "chain", [x], [y], constants)
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)

"""How far the outputs of a file move if each of its last integers moves by one step.

Behind those the file computes in float::

    DequantizeLinear                  scale
    a sum of weights behind it        scale * largest sum of |weights| of one output
    Softmax of what moves by d        d / 2:  |dp| <= p * (1 - p) * 2d
    TopK, and what only moves values  as before
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

SUMS = ("Conv", "Gemm", "MatMul")
# They choose among values or move them.
MOVES = ("TopK", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Identity")
LIPSCHITZ_OF_SOFTMAX = 0.5


def last_step(graph: onnx.GraphProto, output: str) -> float | None:
    """Return the most by which ``output`` moves, in its units; None if other nodes give it."""
    return _Tail.of(graph).step(output)


@dataclass(frozen=True)
class _Tail:
    producers: Mapping[str, onnx.NodeProto]
    constants: Mapping[str, onnx.TensorProto]

    @classmethod
    def of(cls, graph: onnx.GraphProto) -> _Tail:
        producers = {name: node for node in graph.node for name in node.output}
        return cls(producers, {tensor.name: tensor for tensor in graph.initializer})

    def step(self, name: str) -> float | None:
        node = self.producers.get(name)
        if node is None:
            return None
        if node.op_type == "DequantizeLinear":
            return self._scale(node)
        if node.op_type in SUMS:
            return self._of_sum(node)
        factor = LIPSCHITZ_OF_SOFTMAX if node.op_type == "Softmax" else 1.0
        before = self.step(node.input[0]) if node.op_type in ("Softmax", *MOVES) else None
        return None if before is None else factor * before

    def _scale(self, node: onnx.NodeProto) -> float | None:
        scale = self._constant(node.input[1])
        return float(scale) if scale is not None and scale.ndim == 0 else None

    def _of_sum(self, node: onnx.NodeProto) -> float | None:
        step, weight = self.step(node.input[0]), self._weight(node.input[1])
        if step is None or weight is None:
            return None
        rows = _rows(node, np.abs(weight))
        return step * float(rows.reshape(len(rows), -1).sum(axis=1).max())

    def _weight(self, name: str) -> NDArray[Any] | None:
        node = self.producers.get(name)
        if node is None:
            return self._constant(name)
        if node.op_type != "DequantizeLinear":
            return None
        codes, scale, *zero = map(self._constant, node.input)
        if codes is None or scale is None or any(np.any(one) for one in zero):
            return None
        axis = _attribute(node, "axis", 1)
        sizes = [-1 if at == axis else 1 for at in range(codes.ndim)] if scale.ndim else []
        weight: NDArray[Any] = codes * scale.reshape(sizes)
        return weight

    def _constant(self, name: str) -> NDArray[Any] | None:
        tensor = self.constants.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor).astype(np.float64)


def _rows(node: onnx.NodeProto, weight: NDArray[Any]) -> NDArray[Any]:
    """Bring the weights of each output into a row."""
    if node.op_type == "Conv" or _attribute(node, "transB", 0):
        return weight
    return weight.T


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    found = (helper.get_attribute_value(one) for one in node.attribute if one.name == name)
    return int(next(found, default))

"""A file that computes in int8, opened to have its layers cut out and its integers read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from legoexport.lego.names import quantized_name
from legoexport.lego.scales import LIMITS, Affine
from legoexport.ort.session import RuntimeModel
from legoexport.ort.subgraph import cut_layer
from legoexport.passes.fill_input_channels import is_filling

Numbers = NDArray[Any]
Computation = Callable[[Numbers], Numbers]
ROUNDING = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True)
class Activation:
    """What the integers of a value are in the file.

    Attributes:
        integers: Name of the integers.
        made: Name of the value that is rounded to them.
        affine: What they stand for.
    """

    integers: str
    made: str
    affine: Affine

    def rounded(self, numbers: Numbers) -> Numbers:
        """Return what the integers of ``numbers`` stand for."""
        return self.decoded(self.encoded(numbers))

    def encoded(self, numbers: Numbers) -> Numbers:
        """Return the integers of ``numbers``."""
        low, high = LIMITS[self.affine.dtype]
        codes: Numbers = np.clip(self._steps(numbers), low, high).astype(self.affine.dtype)
        return codes

    def decoded(self, integers: Numbers) -> Numbers:
        """Return what ``integers`` stand for."""
        steps = integers.astype(np.float32) - np.float32(self.affine.zero_point)
        numbers: Numbers = steps * np.float32(self.affine.scale)
        return numbers

    def is_clipped(self, numbers: Numbers) -> NDArray[np.bool_]:
        """Return which of ``numbers`` lie outside what the integers reach, rounding included."""
        low, high = LIMITS[self.affine.dtype]
        steps = self._steps(numbers)
        outside: NDArray[np.bool_] = (steps < low) | (steps > high)
        return outside

    def _steps(self, numbers: Numbers) -> Numbers:
        scaled = numbers.astype(np.float32) / np.float32(self.affine.scale)
        steps: Numbers = np.rint(scaled) + np.float32(self.affine.zero_point)
        return steps


class IntegerFile:
    """Layers and integers of a file.

    Args:
        model: The file.
        threads: Threads of ONNX Runtime.
    """

    def __init__(self, model: onnx.ModelProto, threads: int) -> None:
        self.model = model
        self.threads = threads
        self._nodes = {node.name: node for node in model.graph.node}
        self._made_by = {name: node for node in model.graph.node for name in node.output}
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}

    def activation(self, value: str) -> Activation | None:
        """Return the integers of ``value``, or None if it stays float."""
        node = self._nodes.get(quantized_name(value))
        if node is None:
            return None
        made, scale, zero = node.input
        zero_array = numpy_helper.to_array(self._constants[zero])
        affine = Affine(
            scale=float(numpy_helper.to_array(self._constants[scale])),
            zero_point=int(zero_array),
            dtype="uint8" if zero_array.dtype == np.uint8 else "int8",
        )
        return Activation(node.output[0], made, affine)

    def reads_codes(self, node: str) -> bool:
        """Whether dense node ``node`` multiplies by integers."""
        weight = self._made_by.get(self._nodes[node].input[1])
        return weight is not None and weight.op_type == "DequantizeLinear"

    def cut(self, start: str, end: str, shape: tuple[int, ...], dtype: str) -> Computation:
        """Return the part that computes ``end`` from ``start``, a tensor of ``shape``."""
        element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        part = cut_layer(self.model, start, end, ("batch", *shape[1:]), element)
        return runnable(part, self.threads)

    def cut_unrounded(self, start: str, end: str, shape: tuple[int, ...]) -> Computation:
        """Return the same part for floats, with every rounding of an activation taken out."""
        part = cut_layer(self.model, start, end, ("batch", *shape[1:]))
        take_out_rounding(part.graph, start)
        return runnable(part, self.threads)


def runnable(part: onnx.ModelProto, threads: int) -> Computation:
    """Return what runs a layer that was cut out."""
    runtime = RuntimeModel(part.SerializeToString(), threads, integer_kernels=False)
    return lambda x: runtime.run(x, len(x))


def take_out_rounding(graph: onnx.GraphProto, start: str) -> None:
    """Let what follows from ``start`` pass QuantizeLinear and DequantizeLinear as it is."""
    activations = {start}
    for node in graph.node:
        if activations.isdisjoint(node.input):
            continue
        activations.update(node.output)
        if node.op_type in ROUNDING:
            node.op_type = "Identity"
            del node.input[1:], node.attribute[:]
        elif is_filling(node.name, node.op_type):
            del node.input[2:]  # what stands for zero is 0 then

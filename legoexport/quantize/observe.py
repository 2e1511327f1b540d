"""Watch a network in float32: the values that integers are to stand for, on any images.

Every Lego layer is lowered to one convolution per fragment, whose results, joined, are exactly the
maps of the pairs in use. They show between the layers the values that every lowering shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common as common_passes

from legoexport.compile.stages import Prepared
from legoexport.lego.names import part_name
from legoexport.ort.session import RuntimeModel, expose
from legoexport.passes import lego_op
from legoexport.passes.constants import constant_array
from legoexport.passes.lower_lego import lower_alike

# Operators that compute on integers, or pass them on, in a quantized network.
QUANTIZED_OPERATORS = frozenset(
    {lego_op.OP_TYPE, "Conv", "Gemm", "MatMul", "Add", "Concat", "MaxPool", "AveragePool"}
    | {"GlobalAveragePool", "Relu", "Clip"}
)
LOWERING = "per_fragment"
FLOAT_BYTES = 4
# Every value of a run is in memory at once.
BYTES_AT_ONCE = 2**28
MOST_IMAGES_AT_ONCE = 64


@dataclass(frozen=True)
class Observed:
    """A network that shows what calibration needs.

    Attributes:
        model: Standard ONNX in float32; every value named below is an input or an output.
        activations: Names of the activations around quantized operators, in the order of the graph.
        maps: For each Lego layer the name of its intermediate maps ``(b, pairs, h', w')``, fragment
            after fragment, in the order of ``FrozenLego.selection``.
        image_bytes: What all of them take for one image.
    """

    model: onnx.ModelProto
    activations: tuple[str, ...]
    maps: Mapping[str, str]
    image_bytes: int


def observed_model(prepared: Prepared) -> Observed:
    """Return the network of ``prepared`` with its activations and maps for outputs."""
    model = prepared.model.clone()
    common_passes.RemoveUnusedNodesPass()(model)
    values = {lego_op.final_name(value): value for value in _activations(model.graph)}
    floats = sum(_floats(value) for value in values.values())
    floats += sum(site.output_pixels * site.frozen.selection.pair_count for site in prepared.sites)
    layers = [node.layer for node in lego_op.find(model.graph)]
    lower_alike(model, LOWERING)
    maps = {layer: part_name(layer, "transform", "concat") for layer in layers}
    exposed = expose(ir.to_proto(model), [*values, *maps.values()])
    return Observed(exposed, tuple(values), maps, FLOAT_BYTES * floats)


def _activations(graph: ir.Graph) -> Iterator[ir.Value]:
    for node in graph:
        if node.op_type in QUANTIZED_OPERATORS and node.domain in {"", lego_op.DOMAIN}:
            yield from filter(_is_activation, (*node.inputs, *node.outputs))


def _is_activation(value: ir.Value | None) -> bool:
    """Whether ``value`` is a tensor of floats that may depend on the image."""
    if value is None or value.dtype != ir.DataType.FLOAT or constant_array(value) is not None:
        return False
    return value.shape is None or value.shape.rank() > 0


def _floats(value: ir.Value) -> int:
    """How many numbers ``value (b, ...)`` holds for one image, as far as its shape is fixed."""
    sizes = () if value.shape is None else tuple(value.shape)[1:]
    return math.prod(size for size in sizes if isinstance(size, int))


class Observer:
    """Runs images through a network and shows its values.

    Args:
        prepared: The network, which takes one batch of images.
        threads: Threads of ONNX Runtime.

    Raises:
        UsageError: The network takes something else than one batch of images in float32.
    """

    def __init__(self, prepared: Prepared, threads: int) -> None:
        self.observed = observed_model(prepared)
        self._runtime = RuntimeModel(self.observed.model.SerializeToString(), threads)
        self.image_shape = self._runtime.input_shape
        self._fixed_batch_size = self._runtime.fixed_batch_size

    @property
    def batch_size(self) -> int:
        """How many images to run at a time: what the network takes, or what memory suggests."""
        fitting = BYTES_AT_ONCE // max(1, self.observed.image_bytes)
        return self._fixed_batch_size or min(max(1, fitting), MOST_IMAGES_AT_ONCE)

    def run(self, images: NDArray[np.float32]) -> Iterator[Mapping[str, NDArray[Any]]]:
        """Yield the observed values by name, the image among them, for one run after the other.

        Args:
            images: ``(N, c, h, w)``, all in one run unless the batch of the network is fixed; then
                the last run is filled up, and what fills it is not shown.
        """
        size = self._fixed_batch_size or len(images)
        for start in range(0, len(images), size):
            batch = images[start : start + size]
            full = np.ascontiguousarray(np.resize(batch, (size, *batch.shape[1:])), np.float32)
            values = {self._runtime.inputs[0].name: full, **self._runtime.run_all([full], size)}
            yield {name: _of_first(len(batch), size, value) for name, value in values.items()}


def _of_first(count: int, size: int, value: NDArray[Any]) -> NDArray[Any]:
    """Return what the first ``count`` of ``size`` images gave; all of it if rows are not theirs.

    A network may fold its batch into more rows than images, in the order of the images.
    """
    rows, rest = divmod(len(value) * count, size)
    return value if rest else value[:rows]

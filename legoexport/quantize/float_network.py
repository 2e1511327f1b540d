"""The trained network in float: what int8 is measured against, layer by layer.

It goes through the same stages as the network that was quantized, so its values have the same
names. Every Lego layer is lowered to the one dense convolution that it equals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes import common as common_passes
from torch import nn

from legoexport.compile.example import Example, checked_example
from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import prepare
from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.ort.session import RuntimeModel, expose
from legoexport.passes import lego_op
from legoexport.passes.constants import constant_array, input_of
from legoexport.passes.int8_nodes import SUMS, clamp_after, upper_limit
from legoexport.passes.lower_lego import lower_alike

LOWERING = "dense"


@dataclass(frozen=True)
class LayerPlace:
    """Where a layer that sums weights stands in a graph.

    Attributes:
        layer: What a plan calls it: the dotted name of a Lego layer, the node of a dense one.
        module: The torch module that it comes from; empty if that is not known.
        operator: ``LegoConv2d``, ``Conv`` or ``Gemm``.
        x: Name of the value that enters.
        sums: Name of the value that it computes.
        y: Name of the value that leaves: ``sums``, or what a Relu or a Clip alone makes of them.
        limit: The largest number that the Relu or the Clip lets pass; None without one.
    """

    layer: str
    module: str
    operator: str
    x: str
    sums: str
    y: str
    limit: float | None

    def clamped(self, sums: NDArray[Any]) -> NDArray[Any]:
        """Return what leaves for what was computed."""
        return sums if self.limit is None else np.clip(sums, 0, self.limit)


class FloatNetwork:
    """A network that shows what enters and what leaves each layer that sums weights.

    Args:
        trained: The network up to its lowerings, with the weights that training gave it.
        threads: Threads of ONNX Runtime.
    """

    def __init__(self, trained: Prepared, threads: int) -> None:
        model = trained.model.clone()
        common_passes.RemoveUnusedNodesPass()(model)
        self.places = tuple(
            _place(node, trained.homes) for node in model.graph if _sums_constants(node)
        )
        lower_alike(model, LOWERING)
        self.model = ir.to_proto(model)
        names = [name for place in self.places for name in (place.x, place.y)]
        shown = expose(self.model, names).SerializeToString()
        self._runtime = RuntimeModel(shown, threads)

    @property
    def batch_size(self) -> int:
        """How many images it runs at a time."""
        return self._runtime.fixed_batch_size or 1

    def run(self, arrays: Sequence[NDArray[Any]]) -> Iterator[Mapping[str, NDArray[Any]]]:
        """Yield the values by name for one batch after another, each as small as the model takes.

        Args:
            arrays: ``(N, ...)`` for each input of the network, N a multiple of ``batch_size``.
        """
        size = self.batch_size
        names = [one.name for one in self._runtime.inputs]
        for start in range(0, len(arrays[0]), size):
            batch = [array[start : start + size] for array in arrays]
            given = dict(zip(names, batch, strict=True))
            yield given | dict(self._runtime.run_all(batch, size))


def prepare_trained(trained: nn.Module, example: Example, options: CompileOptions) -> Prepared:
    """Run the network that was trained, before any rounding, through the stages of ``options``.

    Args:
        trained: The network, in any mode; it is left as it is.
        example: What the file is compiled for.
        options: How the file that computes in int8 is compiled.

    Raises:
        UsageError: The network cannot be expressed.
    """
    inputs = checked_example(example)
    return prepare(freeze(trained, inputs), inputs, options.without_ends.in_float)


def _sums_constants(node: ir.Node) -> bool:
    if node.domain == lego_op.DOMAIN:
        return True
    constants = [constant_array(value) for value in node.inputs[1:] if value is not None]
    return node.op_type in SUMS and all(array is not None for array in constants)


def _place(node: ir.Node, homes: Mapping[str, str]) -> LayerPlace:
    x, sums = input_of(node, 0), node.outputs[0]
    clamp = clamp_after(sums)
    is_lego, home = node.domain == lego_op.DOMAIN, homes.get(str(node.name), "")
    layer = lego_op.read(node).layer if is_lego else str(node.name)
    return LayerPlace(
        layer=layer,
        module=layer if is_lego else home,
        operator=node.op_type,
        x=lego_op.final_name(x),
        sums=lego_op.final_name(sums),
        y=lego_op.final_name(clamp.outputs[0] if clamp else sums),
        limit=upper_limit(clamp) if clamp else None,
    )

"""Walk a file that computes in int8: every Lego layer, from its integers to its integers.

The file runs in ONNX Runtime, fused as users run it, with the integers between its layers exposed.
What a layer should give is computed from the integers it really got, so an error upstream is never
blamed on it, and equal layers one after the other make an equal network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.errors import CheckFailed
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.layer_records import LayerRecord, read_layers
from legoexport.lego.names import quantized_name
from legoexport.lego.scales import ActivationType, Affine, Scales
from legoexport.lego.storage import IntegerStore
from legoexport.ort.session import RuntimeModel, expose
from legoexport.parity.integer.check import IntegerAgreement, compare
from legoexport.parity.integer.lego_layer import ASSEMBLED, IntegerLego
from legoexport.passes import lego_op
from legoexport.passes.lowerings import INT8_LOWERINGS

IMAGES_COUNT = 2


def frozen_layers(prepared: onnx.ModelProto) -> dict[str, FrozenLego]:
    """Return the Lego layers of a graph that was not lowered yet, by name."""
    return {node.layer: node.frozen for node in lego_op.find(ir.from_proto(prepared).graph)}


class LegoWalk:
    """The Lego layers of a file that compute in integers.

    Args:
        model: The converted file.
        layers: What its layers are before they are lowered, from the checkpoint.
        scales: The integers of its activations.
        largest_code: The largest integer of a weight.

    Raises:
        CheckFailed: The integers that leave a layer are not in the file.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        layers: Mapping[str, FrozenLego],
        scales: Scales,
        largest_code: int,
    ) -> None:
        records = [one for one in read_layers(model) or () if one.lowering in INT8_LOWERINGS]
        self._leaving = {one: _integers_after(model.graph, one) for one in records}
        self._layers = layers
        self.scales, self.largest_code = scales, largest_code

    @property
    def ends(self) -> Mapping[str, tuple[str, str]]:
        """For each layer, the integers that enter it and those that leave it in the file."""
        return {one.layer: (one.input, leaving) for one, leaving in self._leaving.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The values that are needed of a run, and that ``check`` takes."""
        return (*(one.input for one in self._leaving), *self._leaving.values())

    def check(self, values: Mapping[str, NDArray[Any]]) -> tuple[IntegerAgreement, ...]:
        """Compare what each layer gave in one run with what it should.

        Args:
            values: Inputs and exposed values of that run, ``(N, ...)``, by name.

        Raises:
            CheckFailed: The integers that enter a layer are not in the file.
        """
        return tuple(self._check(one, name, values) for one, name in self._leaving.items())

    def _check(
        self, record: LayerRecord, leaving: str, values: Mapping[str, NDArray[Any]]
    ) -> IntegerAgreement:
        frozen = self._layers[record.layer]
        layer = _layer(record, frozen, self.scales, self.largest_code)
        expected = layer.expected(values[record.input], affine_of(self.scales, leaving))
        return compare(record.layer, record.lowering, expected, values[leaving])


def run_exposed(
    model: onnx.ModelProto,
    names: Sequence[str],
    kernels: ActivationType | None,
    images: NDArray[Any],
    threads: int,
) -> Mapping[str, NDArray[Any]]:
    """Run a few images through a file and return them, its outputs and the values ``names``.

    Args:
        model: The converted file.
        names: Values to expose.
        kernels: As ``exact_kernels`` gives them.
        images: Inputs as the file takes them, ``(N, ...)``.
        threads: Threads of ONNX Runtime.
    """
    exposed = expose(model, names).SerializeToString()
    runtime = RuntimeModel(exposed, threads, exact_integers=kernels)
    batch = walked_images(images, runtime.fixed_batch_size)
    return {runtime.inputs[0].name: batch, **runtime.run_all((batch,), len(batch))}


def walked_images(images: NDArray[Any], fixed_batch_size: int | None) -> NDArray[Any]:
    """Return the few of ``images (N, ...)`` that go through a file, as one batch of it."""
    size = fixed_batch_size or min(IMAGES_COUNT, len(images))
    return np.resize(images[:size], (size, *images.shape[1:]))


def exact_kernels(scales: Scales, store: IntegerStore) -> ActivationType | None:
    """Return which kernels do not overflow here; None where those that users get do not."""
    dtypes = {one.dtype for one in scales.activations.values()}
    if "int8" in dtypes:
        return "int8"
    return None if store == "int7" else "uint8"


def _layer(record: LayerRecord, frozen: FrozenLego, scales: Scales, largest: int) -> IntegerLego:
    maps = None if record.lowering == ASSEMBLED else scales.maps.get(record.layer)
    if maps is None and record.lowering != ASSEMBLED:
        raise CheckFailed(f"layer {record.layer}: the scales of its maps are not in the file")
    return IntegerLego(frozen, affine_of(scales, record.input), maps, largest)


def affine_of(scales: Scales, integers: str) -> Affine:
    """Return what the integers called ``integers`` stand for.

    Raises:
        CheckFailed: The file has no such integers.
    """
    value = integers.removesuffix(quantized_name(""))
    if value not in scales.activations:
        raise CheckFailed(f"{integers} are no integers of this file")
    return scales.activations[value]


def _integers_after(graph: onnx.GraphProto, record: LayerRecord) -> str:
    """Return the integers that the result of a layer is rounded to, clamped or not."""
    name = record.output
    while True:
        readers = [node for node in graph.node if node.input and node.input[0] == name]
        if len(readers) != 1 or readers[0].op_type not in ("QuantizeLinear", "Relu", "Clip"):
            raise CheckFailed(f"layer {record.layer}: {name} is not rounded to integers")
        name = readers[0].output[0]
        if readers[0].op_type == "QuantizeLinear":
            return str(name)

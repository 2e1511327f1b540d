"""What every Lego layer of a converted file should compute, from the checkpoint alone.

No pass of the compiler has a say in it: the masks are frozen, the network is emitted, and the batch
norms that the file no longer shows after a layer are folded into it by their definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from legoexport.compile.emit import emit
from legoexport.compile.example import Example
from legoexport.compile.export import EXPORTER_OPSET
from legoexport.compile.freeze import FrozenNetwork
from legoexport.errors import UsageError
from legoexport.lego.layer_records import LayerRecord
from legoexport.lego.names import module_name
from legoexport.parity.dense_form import DenseForm, batch_norms_after
from legoexport.passes import lego_op
from legoexport.passes.lowerings import Site


@dataclass(frozen=True)
class EmittedLayer:
    """A Lego layer as it leaves the frozen network, before any pass.

    Attributes:
        raw: The layer alone.
        norms: The batch norms that directly follow it, nearest first.
        input_shape: ``(c, h, w)`` of what enters it.
    """

    raw: DenseForm
    norms: tuple[ir.Node, ...]
    input_shape: tuple[int, int, int]

    def form(self, norms_left: int = 0) -> DenseForm:
        """Return the layer with all its batch norms folded except the last ``norms_left``."""
        return self.raw.normalized(self.norms[: max(0, len(self.norms) - norms_left)])


@dataclass(frozen=True)
class ExpectedLayer:
    """A layer of the file and what it should compute.

    Attributes:
        record: Where it is.
        form: What it computes in the file.
        emitted: What it is before any pass.
    """

    record: LayerRecord
    form: DenseForm
    emitted: EmittedLayer


def emitted_layers(
    network: FrozenNetwork, example: Example, emitted: onnx.ModelProto | None = None
) -> dict[str, EmittedLayer]:
    """Emit ``network`` for inputs like those of ``example`` and return its layers by name.

    ``emitted`` is what ``emit`` gave for inputs of that size already, if it did.
    """
    if emitted is None:
        model = emit(network, example, dynamic_batch=False, opset=EXPORTER_OPSET)
    else:
        model = ir.from_proto(emitted)
    return {
        node.layer: EmittedLayer(
            raw=DenseForm.of(network.layers[module_name(node.layer)]),
            norms=batch_norms_after(node.y),
            input_shape=(node.frozen.c, *Site.of(node).input_size),
        )
        for node in lego_op.find(model.graph)
    }


def expected_layers(
    model: onnx.ModelProto,
    records: tuple[LayerRecord, ...],
    emitted: Mapping[str, EmittedLayer],
) -> tuple[ExpectedLayer, ...]:
    """Pair each layer of the file with what it should compute.

    Raises:
        UsageError: The file and the checkpoint have different Lego layers.
    """
    names = [record.layer for record in records]
    if set(names) != set(emitted):
        raise UsageError(
            "the model and the checkpoint have different Lego layers",
            received=", ".join(names),
            legal=", ".join(emitted),
            next_step="name the checkpoint that the model was converted from",
        )
    graph = ir.from_proto(model).graph
    values = {output.name: output for node in graph for output in node.outputs}
    norms_left = [len(batch_norms_after(values[record.output])) for record in records]
    return tuple(
        ExpectedLayer(record, emitted[record.layer].form(left), emitted[record.layer])
        for record, left in zip(records, norms_left, strict=True)
    )

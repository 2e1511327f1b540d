"""Emit: a frozen network becomes an ONNX graph with one LegoConv2d node per Lego layer."""

from __future__ import annotations

import ast
import copy
import itertools

import onnx_ir as ir
import torch
from torch import Tensor, nn

from legoexport.compile.example import Example, input_names, inputs_of
from legoexport.compile.export import export
from legoexport.compile.freeze import FrozenNetwork
from legoexport.lego.names import call_name
from legoexport.models.frozen_conv import FrozenLegoConv2d
from legoexport.models.replace_layers import replace_layers
from legoexport.passes import lego_op
from legoexport.passes.constants import constant_array

NAME_SCOPES = "pkg.torch.onnx.name_scopes"


class SymbolicLegoConv2d(nn.Module):
    """Stands in for a FrozenLegoConv2d during export and appears in the graph as one node."""

    def __init__(self, layer: str, frozen_conv: FrozenLegoConv2d, network: FrozenNetwork) -> None:
        super().__init__()
        self.tables = frozen_conv
        self.frozen = network.layers[layer]
        self.attributes = lego_op.attributes(layer, self.frozen)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, c, h, w)`` to ``(b, n, h', w')``."""
        tables = self.tables
        inputs = [x, tables.lego, tables.index, tables.coefficient]
        if tables.bias is not None:
            inputs.append(tables.bias)
        height, width = self.frozen.output_size(x.shape[2], x.shape[3])
        return torch.onnx.ops.symbolic(
            f"{lego_op.DOMAIN}::{lego_op.OP_TYPE}",
            inputs,
            dict(self.attributes),
            dtype=x.dtype,
            shape=(x.shape[0], self.frozen.n, height, width),
            version=lego_op.VERSION,
        )


def emit(network: FrozenNetwork, example: Example, *, dynamic_batch: bool, opset: int) -> ir.Model:
    """Export ``network`` through torch's dynamo exporter.

    Args:
        network: The frozen network.
        example: One batch of every input, of the size to export.
        dynamic_batch: Leave the batch open; otherwise the batch of ``example`` is kept.
        opset: The opset wanted in the end; see ``export``.

    Raises:
        UsageError: The exporter cannot express the network.
    """
    module = _with_symbols(network)
    inputs = inputs_of(example)
    # torch.export specialises sizes 0 and 1; a dynamic batch must be traced with at least 2.
    traced = [torch.cat([one[:1], one[:1]]) if dynamic_batch else one for one in inputs]
    names = input_names(module, inputs)
    contiguous = tuple(one.contiguous() for one in traced)
    model = export(module, contiguous, names, dynamic_batch=dynamic_batch, opset=opset)
    _name_layers_uniquely(model.graph, set(network.layers))
    _drop_allowzero(model.graph)
    return model


def module_of(node: ir.Node) -> str:
    """Return the dotted name of the torch module that an emitted node comes from.

    torch 2.13's exporter notes in each node the modules around it, from the outside in, and then
    the operator.
    """
    scopes = ast.literal_eval(node.metadata_props.get(NAME_SCOPES, "[]"))
    return str(scopes[-2]) if len(scopes) > 1 else ""


def _with_symbols(network: FrozenNetwork) -> nn.Module:
    module = copy.deepcopy(network.module)
    symbols: dict[nn.Module, nn.Module] = {
        layer: SymbolicLegoConv2d(name, layer, network)
        for name, layer in module.named_modules()
        if isinstance(layer, FrozenLegoConv2d)
    }
    return replace_layers(module, symbols)


def _name_layers_uniquely(graph: ir.Graph, taken: set[str]) -> None:
    """A module that is called twice gives two nodes; the second becomes ``layer#2``.

    A network may have a module of that name too: then the next number that is free.
    """
    seen: set[str] = set()
    for node in graph:
        if node.domain != lego_op.DOMAIN:
            continue
        layer = node.attributes["layer"].as_string()
        if layer in seen:
            numbered = (call_name(layer, number) for number in itertools.count(2))
            layer = next(name for name in numbered if name not in taken)
            node.attributes["layer"] = ir.AttrString("layer", layer)
            taken.add(layer)
        seen.add(layer)


def _drop_allowzero(graph: ir.Graph) -> None:
    """The exporter gives it to every Reshape; without zeros in the shape it says nothing.

    Some engines, such as onnx2torch, take no Reshape that has it.
    """
    for node in graph:
        if node.op_type == "Reshape" and "allowzero" in node.attributes:
            shape = constant_array(node.inputs[1])
            if shape is not None and shape.all():
                node.attributes.pop("allowzero")

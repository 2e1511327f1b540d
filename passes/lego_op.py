"""The LegoConv2d node: the one place that reads it from a graph and writes it into one.

Inputs ``X (b, c, h, w)``, ``lego (m, c/o, kh, kw)``, ``index (o, n)``, ``coefficient (o, n)`` and
optionally ``bias (n,)``; all but ``X`` are initializers. Attributes ``layer`` (the dotted module
name), ``strides``, ``pads`` (ONNX order, symmetric) and ``dilations``. Output ``Y (b, n, h', w')``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from legoexport.errors import UsageError
from legoexport.frozen import FrozenLego

DOMAIN = "legoexport"
OP_TYPE = "LegoConv2d"
VERSION = 1


@dataclass(frozen=True)
class LegoNode:
    """A LegoConv2d node as read from a graph.

    Attributes:
        node: The node itself.
        layer: Dotted name of the torch module it came from.
        frozen: Its tables and geometry.
    """

    node: ir.Node
    layer: str
    frozen: FrozenLego

    @property
    def x(self) -> ir.Value:
        """The activation that enters the layer."""
        value = self.node.inputs[0]
        if value is None:
            raise UsageError(f"LegoConv2d node of layer {self.layer} has no input")
        return value

    @property
    def y(self) -> ir.Value:
        """The activation that leaves the layer."""
        return self.node.outputs[0]


def attributes(layer: str, frozen: FrozenLego) -> dict[str, str | list[int]]:
    """Return the node attributes that describe ``frozen``."""
    return {
        "layer": layer,
        "strides": list(frozen.stride),
        "pads": list(frozen.padding) * 2,
        "dilations": list(frozen.dilation),
    }


def find(graph: ir.Graph) -> Iterator[LegoNode]:
    """Yield every LegoConv2d node of ``graph`` in topological order."""
    for node in graph:
        if node.domain == DOMAIN and node.op_type == OP_TYPE:
            yield read(node)


def read(node: ir.Node) -> LegoNode:
    """Read one LegoConv2d node.

    Raises:
        UsageError: A table is not a constant, or the tables do not describe a Lego layer.
    """
    layer = node.attributes["layer"].as_string()
    tables = [_constant(node, position, layer) for position in range(1, len(node.inputs))]
    bias = tables[3].astype(np.float32) if len(tables) > 3 else None  # noqa: PLR2004
    pads = node.attributes["pads"].as_ints()
    if list(pads[:2]) != list(pads[2:]):
        raise UsageError(f"layer {layer}: padding must be symmetric", received=list(pads))
    frozen = FrozenLego(
        lego=tables[0].astype(np.float32),
        index=tables[1].astype(np.int64),
        coefficient=tables[2].astype(np.float32),
        bias=bias,
        stride=_pair(node, "strides"),
        padding=(pads[0], pads[1]),
        dilation=_pair(node, "dilations"),
    )
    return LegoNode(node, layer, frozen)


def write_tables(lego_node: LegoNode, frozen: FrozenLego) -> None:
    """Replace the tables of ``lego_node`` by those of ``frozen``, geometry unchanged."""
    node, layer = lego_node.node, lego_node.layer
    graph = node.graph
    if not isinstance(graph, ir.Graph):
        raise UsageError(f"layer {layer}: its LegoConv2d node is not in a graph")
    tables = {"lego": frozen.lego, "index": frozen.index, "coefficient": frozen.coefficient}
    if frozen.bias is not None:
        tables["bias"] = frozen.bias
    node.resize_inputs(1 + len(tables))
    for position, (name, array) in enumerate(tables.items(), start=1):
        old = node.inputs[position]
        value = ir.Value(name=f"{layer}/{name}", const_value=ir.tensor(array))
        value.shape = ir.Shape(array.shape)
        value.dtype = ir.DataType.from_numpy(array.dtype)
        node.replace_input_with(position, value)
        if old is not None and old.name in graph.initializers and not old.uses():
            del graph.initializers[old.name]
        graph.initializers[value.name] = value  # type: ignore[index] # named two lines above


def _pair(node: ir.Node, name: str) -> tuple[int, int]:
    first, second = node.attributes[name].as_ints()
    return first, second


def _constant(node: ir.Node, position: int, layer: str) -> np.ndarray:  # type: ignore[type-arg]
    value = node.inputs[position]
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    if tensor is None:
        raise UsageError(f"layer {layer}: input {position} of LegoConv2d must be a constant")
    return tensor.numpy().copy()

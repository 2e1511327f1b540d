"""The LegoConv2d node: the one place that reads it from a graph and writes it into one.

Inputs ``X (b, c, h, w)``, ``lego (m, c/o, kh, kw)``, ``index (o, n)``, ``coefficient (o, n)`` and
optionally ``bias (n,)``; all but ``X`` are initializers. Attributes ``layer`` (the dotted module
name), ``strides``, ``pads`` (ONNX order, symmetric) and ``dilations``. Output ``Y (b, n, h', w')``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from legoexport.errors import UsageError
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.names import output_name, table_name
from legoexport.passes.constants import constant_array, set_constant

DOMAIN = "legoexport"
OP_TYPE = "LegoConv2d"
VERSION = 1
BIAS_INPUT = 4


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
    def bank(self) -> ir.Value:
        """The stored Lego filters, which a lowering computes its weights from."""
        value = self.node.inputs[1]
        if value is None:
            raise UsageError(f"LegoConv2d node of layer {self.layer} has no bank")
        return value

    @property
    def y(self) -> ir.Value:
        """The activation that leaves the layer."""
        return self.node.outputs[0]


def attributes(layer: str, frozen: FrozenLego) -> Mapping[str, str | Sequence[int]]:
    """Return the node attributes that describe ``frozen``."""
    return {
        "layer": layer,
        "strides": list(frozen.stride),
        "pads": list(frozen.padding) * 2,
        "dilations": list(frozen.dilation),
    }


def find(graph: ir.Graph) -> Iterator[LegoNode]:
    """Yield every LegoConv2d node of ``graph`` in topological order.

    Raises:
        UsageError: One stands in a branch or a loop, where no lowering reaches it, or cannot be
            read.
    """
    for node in graph.all_nodes():
        if node.domain != DOMAIN or node.op_type != OP_TYPE:
            continue
        lego_node = read(node)
        if node.graph is not graph:
            raise UsageError(
                f"layer {lego_node.layer} runs inside a branch or a loop",
                legal="Lego layers that run once for every input",
                next_step="take the layer out of torch.cond or the loop",
            )
        yield lego_node


def read(node: ir.Node) -> LegoNode:
    """Read one LegoConv2d node.

    Raises:
        UsageError: A table is not a constant, or the tables do not describe a Lego layer.
    """
    layer = node.attributes["layer"].as_string()
    tables = [_constant(node, position, layer) for position in range(1, len(node.inputs))]
    bias = tables[BIAS_INPUT - 1].astype(np.float32) if len(tables) == BIAS_INPUT else None
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


def final_name(value: ir.Value) -> str:
    """Return the name that ``value`` has once LowerLego has renamed what leaves Lego layers."""
    producer = value.producer()
    if producer is None or producer.domain != DOMAIN or value.is_graph_output():
        return str(value.name)
    return output_name(producer.attributes["layer"].as_string())


def write_tables(lego_node: LegoNode, frozen: FrozenLego) -> None:
    """Replace the tables of ``lego_node`` by those of ``frozen``, geometry unchanged."""
    old = lego_node.frozen
    tables = {"lego": (old.lego, frozen.lego), "index": (old.index, frozen.index)}
    tables["coefficient"] = (old.coefficient, frozen.coefficient)
    for position, (name, (before, after)) in enumerate(tables.items(), start=1):
        # An unchanged table keeps its initializer, which another node may share.
        if not np.array_equal(before, after):
            set_constant(lego_node.node, position, table_name(lego_node.layer, name), after)
    if frozen.bias is not None:
        set_constant(lego_node.node, BIAS_INPUT, table_name(lego_node.layer, "bias"), frozen.bias)


def _pair(node: ir.Node, name: str) -> tuple[int, int]:
    first, second = node.attributes[name].as_ints()
    return first, second


def _constant(node: ir.Node, position: int, layer: str) -> np.ndarray:
    array = constant_array(node.inputs[position])
    if array is None:
        raise UsageError(f"layer {layer}: input {position} of LegoConv2d must be a constant")
    return array.copy()

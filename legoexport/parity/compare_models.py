"""Compare two ONNX models tensor by tensor, node by node and attribute by attribute.

What computes nothing is left out: doc strings, the order of the tensors, how their numbers are
stored, types that another tool inferred in addition, and metadata that is not legoexport's.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from legoexport.lego.names import belongs_to, owner
from legoexport.parity.compare_headers import (
    metadata_differences,
    model_differences,
    value_differences,
)
from legoexport.parity.compare_nodes import node_differences
from legoexport.parity.compare_tensors import tensor_difference, type_name
from legoexport.parity.difference import ABSENT, Difference, around, keyed, paired, shortened


def compare_models(expected: onnx.ModelProto, received: onnx.ModelProto) -> tuple[Difference, ...]:
    """Return every difference, tensors first, each with the layer that it belongs to."""
    homes = _Homes(expected.graph)
    return (
        *_tensors(expected.graph, received.graph, homes),
        *_nodes(expected.graph, received.graph, homes),
        *_order(expected.graph, received.graph, homes),
        *value_differences(expected.graph, received.graph),
        *model_differences(expected, received),
        *metadata_differences(expected, received),
    )


class _Homes:
    """Which layer a name belongs to: a Lego layer by the contract, another by torch's names."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        owners = {owner(name) for node in graph.node for name in (node.name, *node.input)}
        self.lego = sorted({one.layer for one in owners if one}, key=len, reverse=True)
        self.constants = {one.name: self.of_name(one.name) for one in graph.initializer}
        for node in graph.node:  # what is computed from them alone, such as a weight from its codes
            if node.input and all(name in self.constants for name in node.input):
                self.constants |= dict.fromkeys(node.output, self.of_node(node))

    def of_name(self, name: str) -> str | None:
        """Return the layer of a tensor or a value; its module if it is ``module.parameter``."""
        for layer in self.lego:
            if belongs_to(layer, name) or name.startswith(f"{layer}.tables."):
                return layer
        return name.rpartition(".")[0] or None

    def of_node(self, node: onnx.NodeProto) -> str | None:
        """Return the layer of a node, which may show only in the tensors that it takes."""
        found = owner(node.name)
        if found:
            return found.layer
        homes = (self.constants.get(name) for name in node.input)
        return next((home for home in homes if home), None)


def _tensors(
    expected: onnx.GraphProto, received: onnx.GraphProto, homes: _Homes
) -> Iterator[Difference]:
    sides = [keyed((one.name, one) for one in graph.initializer) for graph in (expected, received)]
    for name, one, other in paired(*sides):
        home = homes.of_name(name)
        if one is None or other is None:
            yield Difference("tensor", name, home, _tensor_text(one), _tensor_text(other))
        elif difference := tensor_difference(one, other):
            part, *texts = difference
            yield Difference("tensor", f"{name} {part}", home, *texts)


def _nodes(
    expected: onnx.GraphProto, received: onnx.GraphProto, homes: _Homes
) -> Iterator[Difference]:
    sides = [keyed((one.name, one) for one in graph.node) for graph in (expected, received)]
    for name, one, other in paired(*sides):
        if one is None or other is None:
            home = next(homes.of_node(node) for node in (one, other) if node)
            texts = [ABSENT if node is None else node.op_type for node in (one, other)]
            yield Difference("node", name, home, *map(shortened, texts))
            continue
        for aspect, *texts in node_differences(one, other):
            yield Difference("node", f"{name} {aspect}", homes.of_node(one), *texts)


def _order(
    expected: onnx.GraphProto, received: onnx.GraphProto, homes: _Homes
) -> Iterator[Difference]:
    """Yield the first node that stands elsewhere; missing and additional ones are left out."""
    nodes = {node.name: node for node in expected.node}
    names = [[node.name for node in graph.node] for graph in (expected, received)]
    shared = set(names[0]) & set(names[1])
    orders = [dict.fromkeys(name for name in one if name in shared) for one in names]
    for position, (one, other) in enumerate(zip(*orders, strict=True)):
        if one != other:
            home = homes.of_node(nodes[one])
            yield Difference("node", f"{one} in position {position}", home, *around(one, other))
            return


def _tensor_text(tensor: onnx.TensorProto | None) -> str:
    if tensor is None:
        return ABSENT
    return shortened(f"{type_name(tensor.data_type)}{list(tensor.dims)}")

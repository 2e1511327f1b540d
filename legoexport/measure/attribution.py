"""Which Lego layer a node of the graph that ONNX Runtime runs belongs to.

ONNX Runtime reports nodes under the names that its optimizer left them (observed with 1.32):

- a node that it keeps, or fuses with an activation or addition, keeps its name: ``L/merge/sum``;
- one that it moves to the blocked NCHWc layout is named after the value it made, such as
  ``L/transform/conv_nchwc`` or ``L/output_nchwc``, or ``relu_nchwc`` where an activation had been
  fused into it before;
- ReorderInput and ReorderOutput change the layout for the node behind or before them, which only
  the optimized graph tells.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from legoexport.lego.names import owner

NCHWC_SUFFIX = "_nchwc"
FUSED_ACTIVATIONS = {"Clip", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Tanh"}
WEIGHT_SUFFIX = ".weight"
REORDER = "reorder"
OTHER = ("other", "")


class Attribution:
    """Finds the layer and the part of nodes.

    Args:
        written: The graph in the file.
        optimized: The graph that ONNX Runtime makes of it, where it is known; without it the
            changes of layout belong to ``other``.
    """

    def __init__(self, written: onnx.GraphProto, optimized: onnx.GraphProto | None) -> None:
        self._producers = {value: node for node in written.node for value in node.output}
        self._modules = {node.name: _module(node) for node in written.node}
        self._neighbours = {} if optimized is None else _reorder_neighbours(optimized)

    def part_of(self, name: str, op: str) -> tuple[str, str]:
        """Return the layer and ``weights``, ``transform``, ``merge`` or ``reorder``, or OTHER.

        Args:
            name: What ONNX Runtime calls the node.
            op: Its operator there, such as ``FusedConv`` or ``ReorderInput``.
        """
        if name in self._neighbours:
            layer, _ = self.part_of(*self._neighbours[name])
            return OTHER if layer == OTHER[0] else (layer, REORDER)
        names = (name, self._name_in_file(name.removesuffix(NCHWC_SUFFIX), op))
        return next(filter(None, map(owner, names)), OTHER)

    def module_of(self, name: str, op: str) -> str:
        """Return the module whose dense weight a node outside the Lego layers multiplies by.

        Args:
            name: What ONNX Runtime calls the node.
            op: Its operator there.

        Returns:
            The dotted name that the weight tells; empty where there is none.
        """
        names = (name, self._name_in_file(name.removesuffix(NCHWC_SUFFIX), op))
        return next(filter(None, (self._modules.get(one, "") for one in names)), "")

    def _name_in_file(self, value: str, op: str) -> str:
        node = self._producers.get(value)
        while node is not None and node.op_type != op and node.op_type in FUSED_ACTIVATIONS:
            node = self._producers.get(node.input[0])
        return node.name if node is not None and node.op_type == op else ""


def _module(node: onnx.NodeProto) -> str:
    weight = next(iter(node.input[1:2]), "")
    is_dense = weight.endswith(WEIGHT_SUFFIX) and owner(node.name) is None
    return weight.removesuffix(WEIGHT_SUFFIX) if is_dense else ""


def _reorder_neighbours(graph: onnx.GraphProto) -> dict[str, tuple[str, str]]:
    """Map each change of layout to the name and operator of the node it is made for."""
    return {name: (node.name, node.op_type) for name, node in _reorders(graph)}


def _reorders(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.NodeProto]]:
    producers = {value: node for node in graph.node for value in node.output}
    # The first reader, where several share one change of layout.
    readers = {value: node for node in reversed(graph.node) for value in node.input}
    for node in graph.node:
        if node.op_type == "ReorderInput" and node.output[0] in readers:
            yield node.name, readers[node.output[0]]
        elif node.op_type == "ReorderOutput" and node.input[0] in producers:
            yield node.name, producers[node.input[0]]

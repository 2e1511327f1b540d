"""What stands between the integers of a quantized graph: regions, each rounded once at its end.

    DequantizeLinear -> nodes -> QuantizeLinear

Integers enter a region and integers leave it. A graph input enters as it is; a last Gemm may leave
its sums as numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from legoexport.lego.names import owner
from legoexport.passes.fill_input_channels import is_filling
from legoexport.passes.take_pixels import TRANSPOSE

SUMS = ("Conv", "Gemm")
OF_SCORES = ("Softmax", "TopK")


@dataclass(frozen=True)
class Region:
    """The nodes that give one value.

    Attributes:
        value: Name of what they compute, before it is rounded.
        integers: Name of the integers that it is rounded to; None for numbers that leave the graph.
        nodes: In the order of the graph; none where a graph input is rounded.
        entering: For each number that enters, the integers that it stands for; those of a graph
            input are the input itself.
    """

    value: str
    integers: str | None
    nodes: tuple[onnx.NodeProto, ...]
    entering: dict[str, str]

    @property
    def is_lego(self) -> bool:
        """Whether it belongs to a Lego layer, in whole or in part."""
        return any(owner(node.name) for node in self.nodes)

    @property
    def sums(self) -> tuple[onnx.NodeProto, ...]:
        """The nodes that sum weights."""
        return tuple(node for node in self.nodes if node.op_type in SUMS)


@dataclass(frozen=True)
class _Reader:
    producers: dict[str, onnx.NodeProto]
    inputs: frozenset[str]

    def region(self, value: str, integers: str | None) -> Region:
        nodes: dict[str, onnx.NodeProto] = {}
        entering: dict[str, str] = {}
        self._visit(value, nodes, entering)
        return Region(value, integers, tuple(nodes.values()), entering)

    def unranked(self, name: str) -> str:
        """Return the scores that probabilities or the likeliest classes are made of."""
        while (node := self.producers.get(name)) is not None and node.op_type in OF_SCORES:
            name = node.input[0]
        return name

    def _visit(self, name: str, nodes: dict[str, onnx.NodeProto], entering: dict[str, str]) -> None:
        node = self.producers.get(name)
        if name in self.inputs:
            entering[name] = name
        elif node is None or node.output[0] in nodes:
            return
        elif node.op_type == "DequantizeLinear":
            integers = self._unfilled(node.input[0])
            if self._is_activation(integers):
                entering[name] = integers
        else:
            for one in node.input:
                self._visit(one, nodes, entering)
            nodes[node.output[0]] = node

    def _unfilled(self, integers: str) -> str:
        """Return the integers of the network, without the channels that fill them up."""
        made = self.producers.get(integers)
        if made is not None and is_filling(made.name, made.op_type):
            return str(made.input[0])
        return integers

    def _is_activation(self, integers: str) -> bool:
        """Whether integers are rounded to, or are pixels, and not stored or split in a layer."""
        made = self.producers.get(integers)
        return made is not None and (made.op_type == "QuantizeLinear" or made.name == TRANSPOSE)


def regions(graph: onnx.GraphProto) -> tuple[Region, ...]:
    """Return the regions outside of Lego layers, in the order of the graph.

    Numbers that leave the graph are one where a node that sums weights gives them, be it through a
    softmax and a choice of the largest.
    """
    constants = {tensor.name for tensor in graph.initializer}
    reader = _Reader(
        {name: node for node in graph.node for name in node.output},
        frozenset(one.name for one in graph.input if one.name not in constants),
    )
    rounded = [
        reader.region(node.input[0], node.output[0])
        for node in graph.node
        if node.op_type == "QuantizeLinear" and owner(node.name) is None
    ]
    leaving = dict.fromkeys(reader.unranked(one.name) for one in graph.output)
    given = [
        reader.region(name, None)
        for name in leaving
        if name in reader.producers and reader.producers[name].op_type in SUMS
    ]
    return tuple(one for one in (*rounded, *given) if not one.is_lego)

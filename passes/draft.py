"""Draft: the nodes that are to replace one LegoConv2d node, named after layer and part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.lego.names import Part, part_name


class Draft:
    """Collects nodes and initializers for Lego layer ``layer`` without touching a graph.

    Nodes are named as ``legoexport.lego.names`` says, and so is their result, so that profiles,
    which name a fused node after its parts, still tell which layer and which part took the time.
    """

    def __init__(self, layer: str) -> None:
        self.layer = layer
        self.nodes: list[ir.Node] = []
        self.initializers: list[ir.Value] = []

    def constant(self, part: Part, name: str, array: NDArray[Any]) -> ir.Value:
        """Add an initializer."""
        value = ir.val(part_name(self.layer, part, name), const_value=ir.Tensor(array))
        self.initializers.append(value)
        return value

    def integers(self, part: Part, name: str, numbers: Sequence[int]) -> ir.Value:
        """Add an int64 vector, as shape and split arguments take."""
        return self.constant(part, name, np.array(numbers, dtype=np.int64))

    def node(
        self,
        part: Part,
        name: str,
        op_type: str,
        inputs: Sequence[ir.Value],
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Value:
        """Add a node with one output and return that output."""
        return self.node_with_outputs(part, [name], op_type, inputs, attributes)[0]

    def node_with_outputs(
        self,
        part: Part,
        names: Sequence[str],
        op_type: str,
        inputs: Sequence[ir.Value],
        attributes: Mapping[str, Any] | None = None,
    ) -> Sequence[ir.Value]:
        """Add a node with one output per name and return the outputs."""
        full_names = [part_name(self.layer, part, name) for name in names]
        node = ir.node(
            op_type,
            inputs,
            {key: _typed(key, value) for key, value in (attributes or {}).items()},
            outputs=[ir.val(full_name) for full_name in full_names],
            name=full_names[0],
        )
        self.nodes.append(node)
        return node.outputs


def _typed(name: str, value: Any) -> Any:
    """Say the type of integers; finding it out takes onnx-ir more than half of a lowering."""
    if isinstance(value, (list, tuple)) and value and all(isinstance(one, int) for one in value):
        return ir.AttrInt64s(name, value)
    return value

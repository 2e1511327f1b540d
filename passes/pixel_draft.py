"""PixelDraft: nodes that scale pictures, named after what they do and collected in their order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from legoexport.passes.constants import add_constant
from legoexport.passes.opset_adapters import REDEFINED_IN_OPSET


class PixelDraft:
    """Collects nodes; its constants are in the graph already, under the same prefix.

    Args:
        graph: Where the nodes are to stand.
        prefix: What their names begin with.
        opset: Version of the default domain.
    """

    def __init__(self, graph: ir.Graph, prefix: str, opset: int) -> None:
        self.graph, self.prefix, self.opset = graph, prefix, opset
        self.nodes: list[ir.Node] = []

    def within(self, name: str) -> PixelDraft:
        """Return a draft that collects in the same list under a longer prefix."""
        inner = PixelDraft(self.graph, f"{self.prefix}/{name}", self.opset)
        inner.nodes = self.nodes
        return inner

    def constant(self, name: str, array: Any, dtype: type = np.int32) -> ir.Value:
        """Add an initializer."""
        return add_constant(f"{self.prefix}/{name}", np.asarray(array, dtype), self.graph)

    def shape(self, name: str, *sizes: int) -> ir.Value:
        """Return a shape, or ends of a Slice, which are int64 wherever they are taken."""
        return self.constant(name, sizes, np.int64)

    def node(
        self,
        name: str,
        operator: str,
        *inputs: ir.Value,
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Value:
        """Add a node and return what it gives."""
        full = f"{self.prefix}/{name}"
        node = ir.node(operator, inputs, attributes, outputs=[ir.val(full)], name=full)
        self.nodes.append(node)
        return node.outputs[0]

    def cast(self, name: str, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """Convert numbers."""
        return self.node(name, "Cast", value, attributes={"to": int(dtype)})

    def cut(self, name: str, value: ir.Value, axis: int, start: int, end: int) -> ir.Value:
        """Take a part of an axis."""
        ends = [
            self.shape(f"{name}_{what}", at)
            for what, at in (("start", start), ("end", end), ("axis", axis))
        ]
        return self.node(name, "Slice", value, *ends)

    def reshaped(self, name: str, value: ir.Value, *sizes: int) -> ir.Value:
        """Give it another shape, where 0 stands for what stood there and -1 for the rest."""
        return self.node(name, "Reshape", value, self.shape(f"{name}_shape", *sizes))

    def swapped(self, name: str, value: ir.Value) -> ir.Value:
        """Exchange the two axes behind the batch."""
        return self.node(name, "Transpose", value, attributes={"perm": (0, 2, 1)})

    def mean(self, name: str, value: ir.Value, axis: int) -> ir.Value:
        """Average over an axis, which goes."""
        if self.opset < REDEFINED_IN_OPSET:
            attributes = {"axes": (axis,), "keepdims": 0}
            return self.node(name, "ReduceMean", value, attributes=attributes)
        axes = self.shape(f"{name}_axes", axis)
        return self.node(name, "ReduceMean", value, axes, attributes={"keepdims": 0})

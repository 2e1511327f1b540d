"""Give nodes their own constants back where another tool has merged those that are equal.

    Q(x, scale), Q(y, scale)   ->   Q(x, x_scale), Q(y, y_scale)        scale = x_scale = y_scale

A network of integers has many equal scales and zero points, and simplifiers store one for all. Its
readers then find the scale of a value under the name of another one, and ONNX Runtime 1.32 with
``session.x64quantprecision`` makes each weight's uint8 twin under the name of its zero point, and
gives up if two have one. The file that the tool was given tells which node read what. A constant
takes the place of one that it equals to the bit, so no number changes.
"""

from __future__ import annotations

import onnx_ir as ir

from legoexport.passes.constants import adopt_constant, drop_unused_initializers, is_same


class SeparateConstants(ir.passes.InPlacePass):
    """Let each node read the constants that the node of its name reads in another model.

    Declines what the other model does not have, computes or holds in other bits, and a name that
    stands for something else.

    Args:
        source: The model that has them apart.
    """

    def __init__(self, source: ir.Model) -> None:
        super().__init__()
        self.nodes = {(str(node.name), node.op_type): node for node in source.graph if node.name}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place; report whether any constant was given back."""
        made = {str(value.name) for node in model.graph.all_nodes() for value in node.outputs}
        taken = made | {str(value.name) for value in model.graph.inputs}
        changed = [self._separate(node, model.graph, taken) for node in model.graph]
        return ir.passes.PassResult(model, modified=any(changed))

    def _separate(self, node: ir.Node, graph: ir.Graph, taken: set[str]) -> bool:
        source = self.nodes.get((str(node.name), node.op_type))
        pairs = zip(node.inputs, () if source is None else source.inputs, strict=False)
        changed = False
        for position, (value, own) in enumerate(pairs):
            if value is None or own is None or not _is_merged(value, own):
                continue
            held = graph.initializers.get(str(own.name))
            if own.name in taken or not (held is None or is_same(held, own)):
                continue
            node.replace_input_with(position, adopt_constant(own, graph))
            drop_unused_initializers([value])
            changed = True
        return changed


def _is_merged(value: ir.Value, own: ir.Value) -> bool:
    is_stored = value.is_initializer() and own.is_initializer() and not value.is_graph_input()
    return is_stored and value.name != own.name and is_same(value, own)

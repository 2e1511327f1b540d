"""Replace every LegoConv2d node by standard operators, as the plan says.

LegoConv2d(X, lego, index, coefficient, bias)  ->  lowering.build(X, lego, tables)
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common as common_passes

from legoexport.lego.names import output_name
from legoexport.passes import lego_op
from legoexport.passes.draft import Draft
from legoexport.passes.lowerings import Site, find_lowering
from legoexport.passes.plan import Plan


class LowerLego(ir.passes.InPlacePass):
    """Lower each Lego layer with the lowering that ``plan`` names for it.

    The bank stays one initializer; the lowering computes what it needs from it. The layer's result
    is named ``<layer>/output`` unless it is an output of the model. Declines nothing: a plan is
    checked before the pass runs.
    """

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Lower in place; report whether there was a Lego layer."""
        nodes = list(lego_op.find(model.graph))
        for node in nodes:
            _lower(node, self.plan.lowerings[node.layer], model.graph)
        common_passes.RemoveUnusedNodesPass()(model)
        model.opset_imports.pop(lego_op.DOMAIN, None)
        return ir.passes.PassResult(model, modified=bool(nodes))


def _lower(lego_node: lego_op.LegoNode, name: str, graph: ir.Graph) -> None:
    draft = Draft(lego_node.layer)
    bank = lego_node.node.inputs[1]
    if bank is None:
        return
    y = find_lowering(name).build(draft, lego_node.x, bank, Site.of(lego_node))
    for value in draft.initializers:
        graph.register_initializer(value)
    old = lego_node.y
    if not old.is_graph_output():
        old.name = output_name(lego_node.layer)
    y.shape, y.type = old.shape, old.type
    name_kept = old.name
    ir.convenience.replace_nodes_and_values(
        graph, lego_node.node, [lego_node.node], draft.nodes, [old], [y]
    )
    y.name = name_kept

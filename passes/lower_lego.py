"""Replace every LegoConv2d node by standard operators, as the plan says.

LegoConv2d(X, lego, index, coefficient, bias)  ->  lowering.build(X, lego, tables)
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir
from onnx_ir.passes import common as common_passes

from legoexport.lego.names import codes_name, output_name
from legoexport.lego.storage import Encoded
from legoexport.passes import lego_op
from legoexport.passes.conditions import (
    ensure,
    lego_problems,
    name_problems,
    no_lego_problems,
    output_problems,
    require,
)
from legoexport.passes.draft import Draft
from legoexport.passes.integers import Integers
from legoexport.passes.lowerings import INT8_LOWERINGS, Site, find_lowering
from legoexport.passes.plan import Plan


class LowerLego(ir.passes.InPlacePass):
    """Lower each Lego layer with the lowering that ``plan`` names for it; merges add up as it says.

    The bank stays one initializer; the lowering computes what it needs from it. The layer's result
    is named ``<layer>/output`` unless it is an output of the model. Declines nothing: a plan is
    checked before the pass runs.

    Args:
        plan: The lowering of each layer.
        integers: What lowerings in integers need; such a layer reads its bank's codes instead.
    """

    def __init__(self, plan: Plan, integers: Integers | None = None) -> None:
        super().__init__()
        self.plan = plan
        self.integers = integers
        # What the last call built; ``ensures`` holds it against the name contract.
        self._drafts: tuple[Draft, ...] = ()

    def requires(self, model: ir.Model) -> None:
        """Every LegoConv2d node has its tables, a map of fixed size and a place in the plan."""
        require(self, lego_problems(model))
        require(self, self._unplanned(model.graph))

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Lower in place; report whether there was a Lego layer."""
        nodes = list(lego_op.find(model.graph))
        self._drafts = tuple(self._lower(node, model.graph) for node in nodes)
        common_passes.RemoveUnusedNodesPass()(model)
        model.opset_imports.pop(lego_op.DOMAIN, None)
        return ir.passes.PassResult(model, modified=bool(nodes))

    def _lower(self, lego_node: lego_op.LegoNode, graph: ir.Graph) -> Draft:
        draft, bank = Draft(lego_node.layer), lego_node.bank
        lowering = find_lowering(self.plan.lowerings[lego_node.layer])
        scales = None
        if self.integers is not None and lowering.name in INT8_LOWERINGS:
            scales = self.integers.of(lego_node)
            bank = bank if scales is None else _codes(bank, scales.bank, graph)
        site = Site.of(lego_node, self.plan.sums, scales)
        y = lowering.build(draft, lego_node.x, bank, site)
        _replace(lego_node, draft, y, graph)
        return draft

    def ensures(self, model: ir.Model) -> None:
        """Nothing of the Lego domain is left, and what came instead is named by the contract."""
        ensure(self, no_lego_problems(model))
        for draft in self._drafts:
            ensure(self, name_problems(draft))
        ensure(self, output_problems(model))

    def _unplanned(self, graph: ir.Graph) -> Iterator[str]:
        for node in graph:
            if node.domain != lego_op.DOMAIN:
                continue
            layer = node.attributes["layer"].as_string()
            if layer not in self.plan.lowerings:
                yield f"layer {layer!r}: the plan has no lowering for it"
            shape = None if node.inputs[0] is None else node.inputs[0].shape
            sizes = () if shape is None else tuple(shape[2:])
            if len(sizes) != 2 or not all(isinstance(size, int) for size in sizes):  # noqa: PLR2004
                yield f"layer {layer!r}: the map that enters has no fixed size, but {shape}"


def _replace(lego_node: lego_op.LegoNode, draft: Draft, y: ir.Value, graph: ir.Graph) -> None:
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


def _codes(bank: ir.Value, encoded: Encoded, graph: ir.Graph) -> ir.Value:
    """Return the codes of ``bank``, which all layers that share it share too."""
    name = codes_name(str(bank.name))
    if name not in graph.initializers:
        graph.register_initializer(ir.val(name, const_value=ir.tensor(encoded.codes)))
    return graph.initializers[name]


def lower_alike(model: ir.Model, lowering: str) -> None:
    """Lower every Lego layer of ``model`` in place with the same ``lowering``."""
    layers = [node.layer for node in lego_op.find(model.graph)]
    LowerLego(Plan(dict.fromkeys(layers, lowering)))(model)

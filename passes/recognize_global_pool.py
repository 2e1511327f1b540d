"""Write a mean over height and width as the pooling operator it is.

    ReduceMean(X, axes = {2, 3}, keepdims = 1)  ->  GlobalAveragePool(X)

torch's exporter spells AdaptiveAvgPool2d(1) as ReduceMean. GlobalAveragePool means the same in
every opset, stays in ONNX Runtime's blocked layout, and every mobile execution provider takes it.
"""

from __future__ import annotations

import onnx_ir as ir

from legoexport.passes.constants import constant_array, drop_unused_initializers

IMAGE_RANK = 4
SPATIAL_AXES = {2, 3}


class RecognizeGlobalPool(ir.passes.InPlacePass):
    """Replace ReduceMean over exactly the two spatial axes of a 4-D tensor.

    Declines other axes, axes that are not constant, other ranks, and ``keepdims = 0``, whose result
    has another shape.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place; report whether anything was replaced."""
        pools = [node for node in model.graph if _is_global_mean(node)]
        for node in pools:
            _replace(node, model.graph)
        return ir.passes.PassResult(model, modified=bool(pools))


def _is_global_mean(node: ir.Node) -> bool:
    if node.op_type != "ReduceMean" or node.domain != "" or len(node.inputs) < 2:  # noqa: PLR2004
        return False
    x, axes = node.inputs[0], constant_array(node.inputs[1])
    if x is None or x.shape is None or x.shape.rank() != IMAGE_RANK or axes is None:
        return False
    named = {int(axis) % IMAGE_RANK for axis in axes}
    return named == SPATIAL_AXES and node.attributes.get_int("keepdims", 1) == 1


def _replace(node: ir.Node, graph: ir.Graph) -> None:
    old, axes = node.outputs[0], node.inputs[1]
    output = ir.val(None, shape=old.shape, type=old.type)
    pool = ir.node("GlobalAveragePool", [node.inputs[0]], outputs=[output], name=node.name)
    name = old.name
    ir.convenience.replace_nodes_and_values(graph, node, [node], [pool], [old], [output])
    output.name = name
    drop_unused_initializers([axes])

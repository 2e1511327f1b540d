"""A network of one Lego layer: what is measured, and tested, layer by layer."""

from __future__ import annotations

import onnx_ir as ir

from legoexport.passes import lego_op
from legoexport.passes.lower_lego import LowerLego
from legoexport.passes.lowerings import Site
from legoexport.passes.plan import Plan

OPSET = 17
IR_VERSION = 8


def one_layer(site: Site) -> ir.Model:
    """Return a model of one LegoConv2d node, from ``input`` to ``output``, with an open batch."""
    frozen, layer = site.frozen, site.layer
    x = ir.val("input", dtype=ir.DataType.FLOAT, shape=["batch", frozen.c, *site.input_size])
    y = ir.val("output", dtype=ir.DataType.FLOAT, shape=["batch", frozen.n, *site.output_size])
    tables = {"lego": frozen.lego, "index": frozen.index, "coefficient": frozen.coefficient}
    if frozen.bias is not None:
        tables["bias"] = frozen.bias
    constants = [
        ir.val(f"{layer}.{name}", const_value=ir.tensor(array)) for name, array in tables.items()
    ]
    node = ir.node(
        lego_op.OP_TYPE,
        [x, *constants],
        dict(lego_op.attributes(layer, frozen)),
        domain=lego_op.DOMAIN,
        outputs=[y],
    )
    graph = ir.Graph(
        [x],
        [y],
        nodes=[node],
        initializers=constants,
        opset_imports={"": OPSET, lego_op.DOMAIN: lego_op.VERSION},
        name="one_layer",
    )
    return ir.Model(graph, ir_version=IR_VERSION)


def lowered_layer(site: Site, lowering: str) -> ir.Model:
    """Return the same model in the standard operators of ``lowering``."""
    model = one_layer(site)
    LowerLego(Plan({site.layer: lowering}, site.sums))(model)
    return model

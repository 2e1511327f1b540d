"""Lower a network that is to compute in int8 as it is before anything in it becomes an integer.

The integers of a file are proved against this graph, so the graph has to be proved itself.
"""

from __future__ import annotations

from types import MappingProxyType

import onnx_ir as ir

from legoexport.compile.pipeline import lower
from legoexport.compile.stages import Compiled, CompileOptions, Prepared
from legoexport.passes import lego_op
from legoexport.passes.plan import Plan

# It has the rounding of one convolution, and every target takes it.
LOWERING = "dense"


def lower_in_float(model: ir.Model, options: CompileOptions) -> Compiled:
    """Lower a prepared graph, with the ends that ``options`` asks for, to float operators alone.

    Args:
        model: One LegoConv2d node a layer, batch norm folded; it is left as it is.
        options: What the file in int8 is compiled for.

    Raises:
        UsageError: The ends do not fit the network.
    """
    nodes = list(lego_op.find(model.graph))
    trained_m = MappingProxyType({node.layer: node.frozen.m for node in nodes})
    plan = Plan(dict.fromkeys(trained_m, LOWERING))
    return lower(Prepared(model, options.in_float, trained_m, (), MappingProxyType({})), plan)

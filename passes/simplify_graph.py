"""Let onnxsim tidy the graph without undoing sharing.

Its constant folding would replace Gather(bank, rows) by the expanded weight, so initializers are
declared not to be constants (onnxsim's ``initializers_as_constants=False``): identities, dead nodes
and redundant reshapes go, banks stay.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir
import onnxsim

from legoexport.errors import InvariantBroken
from legoexport.passes.conditions import ensure, no_lego_problems, output_problems, require


class SimplifyGraph(ir.passes.FunctionalPass):
    """Run onnxsim's optimizers and shape inference, its constant folding kept off the weights."""

    def requires(self, model: ir.Model) -> None:
        """Only standard operators are left: onnxsim knows no others."""
        require(self, no_lego_problems(model))

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Return the simplified model; report whether its node list changed."""
        before = ir.to_proto(model)
        after, _ = onnxsim.simplify(before, initializers_as_constants=False)
        if after is None:
            raise InvariantBroken("onnxsim gave no model back")
        simplified = ir.from_proto(after)
        return ir.passes.PassResult(simplified, modified=_differs(before, after))

    def ensures(self, model: ir.Model) -> None:
        """Every Lego layer still has its result under its name."""
        ensure(self, output_problems(model))


def _differs(before: onnx.ModelProto, after: onnx.ModelProto) -> bool:
    return [node.SerializeToString() for node in before.graph.node] != [
        node.SerializeToString() for node in after.graph.node
    ]

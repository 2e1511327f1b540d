"""The network that the integers of a file follow, held to PyTorch while it is still in float.

Integers are proved against the graph that a checkpoint gives. They would be right of a graph that
was exported wrongly, too.
"""

from __future__ import annotations

import onnx
import onnx_ir as ir

from legoexport.compile.lower_in_float import LOWERING, lower_in_float
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.judge_outputs import judge_sets
from legoexport.parity.pair import ModelPair
from legoexport.parity.rankings import rankings
from legoexport.parity.rebuild import compile_options
from legoexport.passes.lowerings import find_lowering


def judge_in_float(pair: ModelPair, folded: onnx.ModelProto) -> dict[str, Agreement]:
    """Return parity with PyTorch on each set of inputs, by its name.

    Args:
        pair: A file that computes in int8, and its network.
        folded: What the checkpoint gives before anything becomes an integer: one LegoConv2d node a
            layer, batch norm folded.
    """
    compiled = lower_in_float(ir.from_proto(folded), compile_options(pair.opened))
    return judge_sets(
        RuntimeModel(compiled.model.SerializeToString(), pair.opened.threads),
        pair.inputs,
        pair.references,
        growth=find_lowering(LOWERING).rounding_growth,
        ranked=rankings(compiled.model),
    )

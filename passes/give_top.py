"""Give the likeliest classes in the place of all probabilities.

    P (b, classes)  ->  TopK  ->  probabilities (b, N), the largest first, and indices (b, N)

The indices are int64. An app needs no sorting of its own, and few bytes leave the file.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from legoexport.errors import UsageError
from legoexport.passes.constants import add_constant
from legoexport.passes.give_probabilities import CLASS_AXIS, PROBABILITIES

INDICES = "indices"
ALL_PROBABILITIES = "all_probabilities"
TOP = "top"


class GiveTop(ir.passes.InPlacePass):
    """Put a TopK behind the probabilities, which are the only output; equal ones keep their order.

    ``classes_count`` says of how many they are the likeliest.

    Args:
        count: How many classes to give.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.classes_count: int | None = None

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place.

        Raises:
            UsageError: There are fewer classes.
        """
        graph = model.graph
        (shares,) = graph.outputs
        batch, classes = shares.shape or (None, None)
        if not isinstance(classes, int) or classes < self.count:
            raise UsageError(
                "the network has fewer classes than the file is to give",
                received=f"--output top-{self.count}",
                legal=f"top-1 to top-{classes}",
            )
        self.classes_count = classes
        shares.name = ALL_PROBABILITIES
        count = add_constant(f"{TOP}/count", np.array([self.count], np.int64), graph)
        top = ir.node("TopK", [shares, count], {"axis": CLASS_AXIS}, num_outputs=2, name=TOP)
        described = ((PROBABILITIES, ir.DataType.FLOAT), (INDICES, ir.DataType.INT64))
        for made, (name, dtype) in zip(top.outputs, described, strict=True):
            made.name, made.shape = name, ir.Shape([batch, self.count])
            made.type = ir.TensorType(dtype)
        graph.append(top)
        graph.outputs[:] = top.outputs
        return ir.passes.PassResult(model, modified=True)

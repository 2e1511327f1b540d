"""Give probabilities in the place of scores.

    Y (b, classes)  ->  P[k] = exp(Y[k] - max_j Y[j]) / sum_i exp(Y[i] - max_j Y[j])

which is Softmax over the classes. The order of the classes stays; the last sum of weights and all
before it stay as they are.
"""

from __future__ import annotations

import onnx_ir as ir

from legoexport.errors import UsageError

PROBABILITIES = "probabilities"
SCORES_RANK, CLASS_AXIS = 2, 1


class GiveProbabilities(ir.passes.InPlacePass):
    """Put a Softmax behind the only output of a classifier; the scores keep their name inside."""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place.

        Raises:
            UsageError: The network gives anything but scores, one for each class.
        """
        graph = model.graph
        shapes = {str(one.name): one.shape for one in graph.outputs}
        scores = graph.outputs[0]
        is_single = len(shapes) == 1 and scores.dtype == ir.DataType.FLOAT
        if not is_single or scores.shape is None or scores.shape.rank() != SCORES_RANK:
            raise UsageError(
                "only a network that gives one score for each class can give probabilities",
                received={name: str(shape) for name, shape in shapes.items()},
                legal="one output (batch, classes) of float32",
                next_step="leave --output out",
            )
        softmax = ir.node("Softmax", [scores], {"axis": CLASS_AXIS}, name=PROBABILITIES)
        (made,) = softmax.outputs
        made.name, made.shape, made.type = PROBABILITIES, scores.shape, scores.type
        graph.append(softmax)
        graph.outputs[0] = made
        return ir.passes.PassResult(model, modified=True)

"""Walk: check every Lego layer of a converted file, each for its own error only.

The file runs in ONNX Runtime with each layer's input and output exposed. What a layer should give
is computed in float64 from the input it really got, so an error upstream does not smear downstream.
Then the layer is cut out and its tables are probed entry by entry.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from legoexport.ort.session import RuntimeModel, expose
from legoexport.parity.expectation import ExpectedLayer
from legoexport.parity.inputs import InputSet
from legoexport.parity.layer_check import LayerAgreement, check_activations, check_tables, worst

# Any image shows a wrong layer; more would only cost float64 convolutions.
IMAGES_COUNT = 2


def walk(
    model: onnx.ModelProto, layers: Sequence[ExpectedLayer], inputs: InputSet, threads: int
) -> tuple[LayerAgreement, ...]:
    """Check the layers in the order of the graph.

    Args:
        model: The converted file.
        layers: What its layers should compute.
        inputs: Images for the whole model; a few of them are used.
        threads: Threads of ONNX Runtime.
    """
    names = [name for one in layers for name in (one.record.input, one.record.output)]
    runtime = RuntimeModel(expose(model, names).SerializeToString(), threads)
    batch_size = runtime.fixed_batch_size or IMAGES_COUNT
    arrays = [array[:batch_size] for array in inputs.arrays]
    given = {one.name: array for one, array in zip(runtime.inputs, arrays, strict=True)}
    values = {**given, **runtime.run_all(arrays, batch_size)}
    return tuple(
        worst(
            [
                check_activations(one, values[one.record.input], values[one.record.output]),
                check_tables(one, model, runtime.fixed_batch_size, threads),
            ]
        )
        for one in layers
    )


def first_failure(agreements: Sequence[LayerAgreement]) -> LayerAgreement | None:
    """Return the first layer of the graph that is out of tolerance, if there is one."""
    return next((agreement for agreement in agreements if not agreement.passed), None)

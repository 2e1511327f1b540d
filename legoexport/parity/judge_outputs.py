"""Judge outputs: the same images through PyTorch and through an ONNX model, set by set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from legoexport.errors import UsageError
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.inputs import InputSet, random_inputs
from legoexport.parity.judge import combine, judge
from legoexport.parity.reference import Reference, ReferenceNetwork


def check_model(
    module: nn.Module,
    model_bytes: bytes,
    input_shape: tuple[int, int, int],
    *,
    growth: float,
    data: InputSet | None = None,
    threads: int = 1,
) -> Agreement:
    """Judge an ONNX model against the network it came from, by the rule of ``agreement``.

    Args:
        module: The network in training form, in any mode; it is left as it is.
        model_bytes: The ONNX file.
        input_shape: ``(c, h, w)`` that the network takes.
        growth: The largest ``rounding_growth`` among the lowerings of the model.
        data: Real images, judged beside the random ones.
        threads: Threads of ONNX Runtime.

    Raises:
        UsageError: The model does not load, or takes or gives other shapes than the network.
        CheckFailed: PyTorch itself gives NaN or infinite values.
    """
    model = RuntimeModel(model_bytes, threads)
    check_input_shape(model, input_shape)
    inputs = input_sets(model, data)
    network = ReferenceNetwork(module)
    references = [network.run(one.images) for one in inputs]
    return combine(judge_sets(model, inputs, references, growth=growth))


def input_sets(model: RuntimeModel, data: InputSet | None) -> tuple[InputSet, ...]:
    """Return the random images for ``model`` and, if there are any, the real ones."""
    drawn = random_inputs(model.input_shape, model.fixed_batch_size)
    return drawn if data is None else (*drawn, data)


def judge_sets(
    model: RuntimeModel,
    inputs: Sequence[InputSet],
    references: Sequence[Reference],
    *,
    growth: float,
) -> dict[str, Agreement]:
    """Run and judge each set of inputs by itself, as ``judge_outputs`` says."""
    outputs = [model.run(one.images, one.batch_size) for one in inputs]
    return judge_outputs(inputs, references, outputs, growth=growth)


def judge_outputs(
    inputs: Sequence[InputSet],
    references: Sequence[Reference],
    outputs: Sequence[NDArray[np.float32]],
    *,
    growth: float,
) -> dict[str, Agreement]:
    """Judge what a model gave for each set; return the agreements by the names of the sets.

    Raises:
        UsageError: The model's outputs have another shape than the network's.
    """
    agreements = {}
    for one, reference, actual in zip(inputs, references, outputs, strict=True):
        if actual.shape != reference.float64.shape:
            raise UsageError(
                "the model gives outputs of another shape than the network",
                received=actual.shape,
                legal=reference.float64.shape,
                next_step="name the checkpoint that the model was converted from",
            )
        agreements[one.name] = judge(
            reference.float64, reference.float32, actual, growth=growth, labels=one.labels
        )
    return agreements


def check_input_shape(model: RuntimeModel, input_shape: tuple[int, int, int]) -> None:
    """Check the model's input against the network's ``(c, h, w)``.

    Raises:
        UsageError: The shapes differ.
    """
    if model.input_shape != tuple(input_shape):
        raise UsageError(
            "the model takes inputs of another shape than the network",
            received=model.input_shape,
            legal=tuple(input_shape),
            next_step="name the checkpoint that the model was converted from, or its --input-size",
        )

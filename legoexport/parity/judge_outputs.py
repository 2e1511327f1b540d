"""Judge outputs: the same images through PyTorch and through an ONNX model, set by set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import nn

from legoexport.errors import UsageError
from legoexport.host.kinds import Kind, kind_of_bytes
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.inputs import InputSet, draw_inputs
from legoexport.parity.judge import combine, judge
from legoexport.parity.judge_exact import judge_exact
from legoexport.parity.rankings import Ranking, judge_ranked, rankings
from legoexport.parity.reference import Reference, ReferenceNetwork, ReferenceOutput

# Only scores of classes can be counted against labels.
SCORES_RANK = 2


def check_model(
    module: nn.Module | ReferenceNetwork,
    model_bytes: bytes,
    input_shape: tuple[int, int, int] | None,
    *,
    growth: float,
    data: InputSet | None = None,
    threads: int = 1,
    integer_ranges: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> Agreement:
    """Judge an ONNX model against the network it came from, by the rule of ``agreement``.

    Args:
        module: The network in training form, in any mode, or with what the file has at its ends;
            it is left as it is.
        model_bytes: The ONNX file.
        input_shape: ``(c, h, w)`` that the network takes; None if it takes other than one image.
        growth: The largest ``rounding_growth`` among the lowerings of the model.
        data: Real images, judged beside the random ones.
        threads: Threads of ONNX Runtime.
        integer_ranges: As ``draw_inputs`` takes them.

    Raises:
        UsageError: The model does not load, or takes or gives other shapes than the network.
        CheckFailed: PyTorch itself gives NaN or infinite values.
    """
    model = RuntimeModel(model_bytes, threads)
    if input_shape is not None:
        check_input_shape(model.image_shape, input_shape)
    inputs = input_sets(model, data, integer_ranges)
    network = module if isinstance(module, ReferenceNetwork) else ReferenceNetwork(module)
    references = [network.run(*one.arrays) for one in inputs]
    # A file in ORT format has no graph to read; its indices must then be equal.
    packed = kind_of_bytes(model_bytes) is Kind.ORT
    ranked = () if packed else rankings(onnx.load_model_from_string(model_bytes))
    return combine(judge_sets(model, inputs, references, growth=growth, ranked=ranked))


def input_sets(
    model: RuntimeModel,
    data: InputSet | None,
    integer_ranges: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> tuple[InputSet, ...]:
    """Return the random inputs for ``model`` and, if there are any, the real images."""
    drawn = draw_inputs(model.inputs, model.fixed_batch_size, integer_ranges)
    return drawn if data is None else (*drawn, data)


def judge_sets(
    model: RuntimeModel,
    inputs: Sequence[InputSet],
    references: Sequence[Reference],
    *,
    growth: float,
    ranked: Sequence[Ranking] = (),
) -> dict[str, Agreement]:
    """Run and judge each set of inputs by itself, as ``judge_outputs`` says."""
    outputs = [tuple(model.run_all(one.arrays, one.batch_size).values()) for one in inputs]
    names = model.output_names
    return judge_outputs(inputs, references, outputs, growth=growth, names=names, ranked=ranked)


def judge_outputs(
    inputs: Sequence[InputSet],
    references: Sequence[Reference],
    outputs: Sequence[Sequence[NDArray[Any]]],
    *,
    growth: float,
    names: Sequence[str] = ("output",),
    ranked: Sequence[Ranking] = (),
) -> dict[str, Agreement]:
    """Judge what a model gave for each set.

    Args:
        inputs: The sets.
        references: What PyTorch gives for each of them.
        outputs: What the model gave for each of them, output by output.
        growth: The ``rounding_growth`` of the model and its runtime.
        names: Of the outputs.
        ranked: The outputs that hold indices of scores.

    Returns:
        The agreements set by set and, if there are several outputs, one after the other; by the
        name of the set, with that of the output if there are several.

    Raises:
        UsageError: The model gives another number of outputs than the network, or one of another
            shape or type.
    """
    agreements = {}
    for one, reference, actuals in zip(inputs, references, outputs, strict=True):
        if not len(reference.outputs) == len(actuals) == len(names):
            raise _differs("number of outputs", len(actuals), len(reference.outputs))
        for name, expected, actual in zip(names, reference.outputs, actuals, strict=True):
            if len(names) == 1:
                agreements[one.name] = judge_output(expected, actual, growth, one.labels, name)
                continue
            agreement = judge_output(expected, actual, growth, None, name)
            agreements[f"{one.name}, {name}"] = replace(agreement, output=name)
        for ranking in ranked:
            if ranking.scores is not None:
                name = f"{one.name}, {ranking.output}"
                scores = agreements[f"{one.name}, {ranking.scores}"]
                places = names.index(ranking.scores), names.index(ranking.output)
                agreements[name] = _by_scores(reference, actuals, ranking, places, scores)
    return agreements


def _by_scores(
    reference: Reference,
    actuals: Sequence[NDArray[Any]],
    ranking: Ranking,
    places: tuple[int, int],
    scores: Agreement,
) -> Agreement:
    ranked, expected = (reference.outputs[place] for place in places)
    indices = expected.float64, expected.float32
    whole = None if expected.whole is None else expected.whole.float64
    agreement = judge_ranked(
        ranked.float64, indices, actuals[places[1]], ranking.axis, scores, whole=whole
    )
    return replace(agreement, output=ranking.output)


def judge_output(
    expected: ReferenceOutput,
    actual: NDArray[Any],
    growth: float,
    labels: NDArray[np.int64] | None,
    name: str,
) -> Agreement:
    """Judge one output, floats by their error and all else by equality.

    Raises:
        UsageError: It has another shape or type than PyTorch's.
        CheckFailed: PyTorch itself gives NaN or infinite values.
    """
    if actual.shape != expected.float64.shape:
        raise _differs(f"shape of {name}", actual.shape, expected.float64.shape)
    if actual.dtype != expected.float32.dtype:
        raise _differs(f"type of {name}", actual.dtype, expected.float32.dtype)
    if expected.is_exact:
        return judge_exact(expected.float64, expected.float32, actual)
    scores = labels if actual.ndim == SCORES_RANK else None
    truth, rounded, whole = expected.float64, expected.float32, expected.whole
    return judge(
        truth,
        rounded,
        actual,
        growth=growth,
        labels=scores,
        whole=None if whole is None else (whole.float64, whole.float32),
    )


def _differs(what: str, received: object, legal: object) -> UsageError:
    return UsageError(
        f"the model gives outputs of another shape than the network: {what}",
        received=received,
        legal=legal,
        next_step="name the checkpoint that the model was converted from",
    )


def check_input_shape(given: tuple[int, int, int], input_shape: tuple[int, int, int]) -> None:
    """Check the model's input ``(c, h, w)`` against the network's ``(c, h, w)``.

    Raises:
        UsageError: The shapes differ.
    """
    if given != tuple(input_shape):
        raise UsageError(
            "the model takes inputs of another shape than the network",
            received=given,
            legal=tuple(input_shape),
            next_step="name the checkpoint that the model was converted from, or its --input-size",
        )

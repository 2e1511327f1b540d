"""Verification: everything that can be said about a model and the network it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnxruntime
import torch

from legoexport.compile.freeze import FrozenNetwork, freeze
from legoexport.compile.stamp import read_stamp
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.blame import layer_check, network_check
from legoexport.parity.bundle import GoldenSet
from legoexport.parity.diagnosis import describe_cause, describe_layer, recipe
from legoexport.parity.expectation import ExpectedLayer, emitted_layers, expected_layers
from legoexport.parity.judge import combine
from legoexport.parity.layer_check import LayerAgreement
from legoexport.parity.subject import Subject
from legoexport.parity.verify import judge_outputs, judge_sets
from legoexport.parity.walk import first_failure, walk
from legoexport.runtimes.base import Feed, Replay, Runtime
from legoexport.runtimes.each import by_set_and_runtime, replays_json, run_each

Progress = Callable[[str], None]

NO_LAYERS_NOTE = "no legoexport metadata in the model: judged as a whole, layers cannot be walked"
OUTSIDE_NOTE = "every Lego layer is within tolerance: the error is outside of them"


@dataclass(frozen=True)
class Verification:
    """The verdict.

    Attributes:
        agreements: By the name of the set of inputs.
        layers: One for each Lego layer in the order of the graph.
        notes: What the reader should know either way.
        diagnosis: What is wrong and where it came from; empty if all is well.
        replays: What other runtimes computed and where, if the outputs judged are not from here.
    """

    agreements: Mapping[str, Agreement]
    layers: tuple[LayerAgreement, ...]
    notes: tuple[str, ...]
    diagnosis: tuple[str, ...]
    replays: tuple[Replay, ...] = ()

    @property
    def agreement(self) -> Agreement:
        """Over all sets of inputs."""
        return combine(self.agreements)

    @property
    def passed(self) -> bool:
        """Whether the network as a whole and every layer are within their limits."""
        return self.agreement.passed and all(layer.passed for layer in self.layers)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict and all that it rests on as JSON values."""
        return {
            "passed": self.passed,
            "agreement": self.agreement.to_json(),
            "sets": {name: one.to_json() for name, one in self.agreements.items()},
            "layers": [layer.to_json() for layer in self.layers],
            "notes": list(self.notes),
            "diagnosis": list(self.diagnosis),
            **replays_json(self.replays),
        }


def verify(
    subject: Subject,
    progress: Progress = lambda _: None,
    elsewhere: Sequence[Runtime] = (),
) -> Verification:
    """Judge the whole, walk the layers, and where a check fails find out why.

    Args:
        subject: The model and its network.
        progress: Called with the step under way.
        elsewhere: What gives the outputs that are judged; if empty, ONNX Runtime in this process,
            where layers are walked in any case.

    Raises:
        UsageError: Model and network give outputs of different shapes, or have different layers, or
            the runtime elsewhere is not there or does not take the model.
        CheckFailed: PyTorch itself gives NaN or infinite values, or the runtime stops.
    """
    progress("judging the outputs")
    replays = _run(subject, elsewhere, progress)
    judged = [_judge(subject, replay) for replay in replays]
    agreements = by_set_and_runtime(elsewhere, judged) if judged else _judge(subject, None)
    notes = tuple(note for note in (subject.note,) if note)
    if not subject.records:
        return Verification(agreements, (), (NO_LAYERS_NOTE, *notes), (), replays)
    progress("walking the layers")
    example = torch.zeros(subject.runtime.fixed_batch_size or 1, *subject.runtime.input_shape)
    network = freeze(subject.module, example)
    emitted = emitted_layers(network, example)
    expected = expected_layers(subject.model, subject.records, emitted)
    layers = walk(subject.model, expected, subject.inputs[0], subject.threads)
    found = Verification(agreements, layers, notes, (), replays)
    if found.passed:
        return found
    progress("looking for the cause")
    return replace(found, diagnosis=_diagnose(subject, network, expected, found))


def _run(subject: Subject, runtimes: Sequence[Runtime], progress: Progress) -> tuple[Replay, ...]:
    feeds = [Feed(one.images, one.batch_size) for one in subject.inputs]
    return run_each(runtimes, subject.model_bytes, feeds, progress)


def _judge(subject: Subject, replay: Replay | None) -> dict[str, Agreement]:
    inputs, references, growth = subject.inputs, subject.references, subject.growth
    if replay is None:
        return judge_sets(subject.runtime, inputs, references, growth=growth)
    growth *= replay.rounding_growth
    return judge_outputs(inputs, references, replay.outputs, growth=growth)


def golden_sets(subject: Subject, verification: Verification) -> list[GoldenSet]:
    """Return what a bundle needs to repeat the judgement of the outputs."""
    # Limits come from PyTorch alone, so those of the first runtime, without what its own order of
    # summation adds, are those of all.
    first = list(verification.agreements.values())[: len(subject.inputs)]
    growth = verification.replays[0].rounding_growth if verification.replays else 1.0
    return [
        GoldenSet(
            name=one.name,
            batch_size=one.batch_size,
            limit=agreement.limit / growth,
            reference_max_abs_error=agreement.reference_max_abs_error,
            images=one.images,
            outputs=reference.float64.astype(np.float32),
        )
        for one, reference, agreement in zip(subject.inputs, subject.references, first, strict=True)
    ]


def _diagnose(
    subject: Subject,
    network: FrozenNetwork,
    expected: tuple[ExpectedLayer, ...],
    found: Verification,
) -> tuple[str, ...]:
    failure = first_failure(found.layers)
    if failure is not None:
        symptom = describe_layer(failure)
        is_right = layer_check(expected[found.layers.index(failure)])
    elif found.replays and combine(_judge(subject, None)).passed:
        here = f"onnxruntime {onnxruntime.__version__}"
        wrong = [one for one in found.replays if not combine(_judge(subject, one)).passed]
        errs = "; ".join(f"{one.runtime} errs" for one in wrong)
        return OUTSIDE_NOTE, f"the file is right on {here} here: {errs}"
    elif _is_right_unoptimized(subject):
        return OUTSIDE_NOTE, f"only ONNX Runtime {onnxruntime.__version__}'s optimizer errs here"
    else:
        symptom = OUTSIDE_NOTE
        bad = next(i for i, one in enumerate(found.agreements.values()) if not one.passed)
        is_right = network_check(subject.inputs[bad], subject.references[bad], subject.growth)
    return symptom, *describe_cause(
        read_stamp(subject.model),
        lambda: recipe(subject.model, subject.runtime, network),
        is_right,
        subject.note,
    )


def _is_right_unoptimized(subject: Subject) -> bool:
    plain = RuntimeModel(subject.model_bytes, subject.threads, optimize=False)
    judged = judge_sets(plain, subject.inputs, subject.references, growth=subject.growth)
    return combine(judged).passed

"""Diagnosis: from a failed check to sentences that say which layer, which pass, or which file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnxruntime

from legoexport.compile.freeze import FrozenNetwork
from legoexport.compile.stamp import read_stamp
from legoexport.errors import UsageError
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.blame import (
    StageCheck,
    layer_check,
    network_check,
    recompile,
)
from legoexport.parity.exact import ExactCheck
from legoexport.parity.expectation import ExpectedLayer
from legoexport.parity.judge import combine
from legoexport.parity.judge_outputs import judge_sets
from legoexport.parity.layer_check import LayerAgreement
from legoexport.parity.pair import ModelPair
from legoexport.parity.rebuild import compile_inputs
from legoexport.parity.walk import first_failure
from legoexport.runtimes.base import Replay

CHANGED = "the file was changed after conversion"
OUTSIDE_NOTE = "every Lego layer is within tolerance: the error is outside of them"


def diagnose(
    pair: ModelPair,
    network: FrozenNetwork,
    expected: Sequence[ExpectedLayer],
    *,
    layers: Sequence[LayerAgreement],
    agreements: Mapping[str, Agreement],
    replays: Sequence[Replay],
    exact: ExactCheck,
) -> tuple[str, ...]:
    """Say what is wrong with a model that failed its check, and where it came from.

    Args:
        pair: The model and its network.
        network: The network, frozen.
        expected: What each Lego layer should compute.
        layers: How well each does, in the same order.
        agreements: How well the whole does, by the name of the set of inputs.
        replays: What was judged, if the outputs are not from this process.
        exact: How the file differs from the one that the checkpoint gives.
    """
    if exact.differences:
        return *_symptoms(layers), *exact.lines, f"probable cause: {CHANGED}"
    failure = first_failure(layers)
    if failure is not None:
        symptom = describe_layer(failure)
        is_right = layer_check(expected[layers.index(failure)])
    elif replays and combine(pair.judge_here()).passed:
        here = f"onnxruntime {onnxruntime.__version__}"
        wrong = [one for one in replays if not combine(pair.judge(one)).passed]
        errs = "; ".join(f"{one.runtime} errs" for one in wrong)
        return OUTSIDE_NOTE, f"the file is right on {here} here: {errs}"
    elif _is_right_unoptimized(pair):
        return OUTSIDE_NOTE, f"only ONNX Runtime {onnxruntime.__version__}'s optimizer errs here"
    else:
        symptom = OUTSIDE_NOTE
        # Each set has one for each output, and with several runtimes the sets repeat.
        bad = next(i for i, one in enumerate(agreements.values()) if not one.passed)
        bad = bad // len(pair.references[0].outputs) % len(pair.inputs)
        opened = pair.opened
        is_right = network_check(
            pair.inputs[bad], pair.references[bad], opened.growth, opened.facts
        )
    return symptom, *_describe_cause(pair, network, is_right)


def _symptoms(layers: Sequence[LayerAgreement]) -> tuple[str, ...]:
    failure = first_failure(layers)
    return () if failure is None else (describe_layer(failure),)


def describe_layer(failure: LayerAgreement) -> str:
    """Name the layer that is out of tolerance."""
    return (
        f"first layer out of tolerance: {failure.layer} (lowering {failure.lowering}), worst"
        f" output channel {failure.worst_channel}, error {failure.limit_ratio:.3g} times the limit"
    )


def _describe_cause(
    pair: ModelPair, network: FrozenNetwork, is_right: StageCheck
) -> tuple[str, ...]:
    """Name the pass that introduced an error, or say that none did."""
    try:
        result = recompile(compile_inputs(pair.opened, network), is_right)
    except UsageError as error:
        return (f"the checkpoint cannot be compiled again as the file says it was: {error}",)
    if result.bad_stage is not None:
        return (f"introduced by pass {result.bad_stage}",)
    recorded = read_stamp(pair.opened.model).get("mask_sha256")
    masks = "the" if result.mask_sha256 == recorded else "NOT the"
    evidence = f"no pass introduces it; the file records {masks} masks that this checkpoint has"
    cause = pair.checkpoint_note or CHANGED
    return evidence, f"probable cause: {cause}"


def _is_right_unoptimized(pair: ModelPair) -> bool:
    opened = pair.opened
    plain = RuntimeModel(opened.model_bytes, opened.threads, optimize=False)
    judged = judge_sets(plain, pair.inputs, pair.references, growth=opened.growth)
    return combine(judged).passed

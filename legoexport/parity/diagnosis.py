"""Diagnosis: from a failed check to sentences that say which layer, which pass, or which file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnxruntime
import torch

from legoexport.compile.freeze import FrozenNetwork
from legoexport.compile.stages import CompileOptions
from legoexport.compile.stamp import read_stamp
from legoexport.errors import UsageError
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.blame import (
    CompileInputs,
    StageCheck,
    layer_check,
    network_check,
    recompile,
)
from legoexport.parity.expectation import ExpectedLayer
from legoexport.parity.judge import combine
from legoexport.parity.judge_outputs import judge_sets
from legoexport.parity.layer_check import LayerAgreement
from legoexport.parity.opened import OpenedModel
from legoexport.parity.pair import ModelPair
from legoexport.parity.walk import first_failure
from legoexport.passes.plan import Plan
from legoexport.runtimes.base import Replay
from legoexport.target import find_target

DEFAULT_DOMAINS = ("", "ai.onnx")
OUTSIDE_NOTE = "every Lego layer is within tolerance: the error is outside of them"


def diagnose(
    pair: ModelPair,
    network: FrozenNetwork,
    expected: Sequence[ExpectedLayer],
    *,
    layers: Sequence[LayerAgreement],
    agreements: Mapping[str, Agreement],
    replays: Sequence[Replay],
) -> tuple[str, ...]:
    """Say what is wrong with a model that failed its check, and where it came from.

    Args:
        pair: The model and its network.
        network: The network, frozen.
        expected: What each Lego layer should compute.
        layers: How well each does, in the same order.
        agreements: How well the whole does, by the name of the set of inputs.
        replays: What was judged, if the outputs are not from this process.
    """
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
        # With several runtimes the sets repeat, runtime by runtime.
        bad = next(i for i, one in enumerate(agreements.values()) if not one.passed)
        bad %= len(pair.inputs)
        is_right = network_check(pair.inputs[bad], pair.references[bad], pair.opened.growth)
    return symptom, *_describe_cause(pair, network, is_right)


def describe_layer(failure: LayerAgreement) -> str:
    """Name the layer that is out of tolerance."""
    return (
        f"first layer out of tolerance: {failure.layer} (lowering {failure.lowering}), worst"
        f" output channel {failure.worst_channel}, error {failure.limit_ratio:.3g} times the limit"
    )


def compile_inputs(opened: OpenedModel, network: FrozenNetwork) -> CompileInputs:
    """Read from a converted file how it was compiled.

    Raises:
        UsageError: The plan or the target in its metadata is damaged or unknown.
    """
    stamp, batch_size = read_stamp(opened.model), opened.runtime.fixed_batch_size
    opsets = {entry.domain: entry.version for entry in opened.model.opset_import}
    options = CompileOptions(
        target=find_target(stamp.get("target", "")),
        opset=next(opsets[domain] for domain in DEFAULT_DOMAINS if domain in opsets),
        dynamic_batch=batch_size is None,
        plan=Plan.from_json(stamp.get("plan", ""), source="legoexport.plan in the model"),
    )
    example = torch.zeros(batch_size or 1, *opened.runtime.input_shape)
    return CompileInputs(network, example, options)


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
    cause = pair.checkpoint_note or "the file was changed after conversion"
    return evidence, f"probable cause: {cause}"


def _is_right_unoptimized(pair: ModelPair) -> bool:
    opened = pair.opened
    plain = RuntimeModel(opened.model_bytes, opened.threads, optimize=False)
    judged = judge_sets(plain, pair.inputs, pair.references, growth=opened.growth)
    return combine(judged).passed

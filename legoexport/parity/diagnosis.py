"""Diagnosis: from a failed check to sentences that say which layer, which pass, or which file."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx
import torch

from legoexport.compile.freeze import FrozenNetwork
from legoexport.compile.stages import CompileOptions
from legoexport.compile.stamp import read_stamp
from legoexport.errors import UsageError
from legoexport.ort.session import RuntimeModel
from legoexport.parity.blame import Recipe, StageCheck, replay
from legoexport.parity.layer_check import LayerAgreement
from legoexport.passes.plan import Plan
from legoexport.target import find_target

DEFAULT_DOMAINS = ("", "ai.onnx")


def checkpoint_note(stamp: Mapping[str, str], checkpoint_sha256: str | None) -> str | None:
    """Say so if the model names another checkpoint than the one at hand."""
    recorded = stamp.get("checkpoint_sha256", "")
    is_digest = len(recorded) == len(checkpoint_sha256 or "")
    if checkpoint_sha256 is None or not is_digest or recorded == checkpoint_sha256:
        return None
    return (
        f"the model was converted from another checkpoint (sha256 {recorded[:12]}...,"
        f" this one is {checkpoint_sha256[:12]}...)"
    )


def recipe(model: onnx.ModelProto, runtime: RuntimeModel, network: FrozenNetwork) -> Recipe:
    """Read from a converted file how it was compiled.

    Raises:
        UsageError: The plan or the target in its metadata is damaged or unknown.
    """
    stamp = read_stamp(model)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    options = CompileOptions(
        target=find_target(stamp.get("target", "")),
        opset=next(opsets[domain] for domain in DEFAULT_DOMAINS if domain in opsets),
        dynamic_batch=runtime.fixed_batch_size is None,
        plan=Plan.from_json(stamp.get("plan", ""), source="legoexport.plan in the model"),
    )
    example = torch.zeros(runtime.fixed_batch_size or 1, *runtime.input_shape)
    return Recipe(network, example, options)


def describe_layer(failure: LayerAgreement) -> str:
    """Name the layer that is out of tolerance."""
    return (
        f"first layer out of tolerance: {failure.layer} (lowering {failure.lowering}), worst"
        f" output channel {failure.worst_channel}, error {failure.limit_ratio:.3g} times the limit"
    )


def describe_cause(
    stamp: Mapping[str, str],
    read_recipe: Callable[[], Recipe],
    is_right: StageCheck,
    note: str | None,
) -> tuple[str, ...]:
    """Name the pass that introduced an error, or say that none did.

    Args:
        stamp: Provenance of the file.
        read_recipe: Gives the recipe of the file.
        is_right: Judges the model after each pass.
        note: What ``checkpoint_note`` said.
    """
    try:
        result = replay(read_recipe(), is_right)
    except UsageError as error:
        return (f"the checkpoint cannot be compiled again as the file says it was: {error}",)
    if result.bad_stage is not None:
        return (f"introduced by pass {result.bad_stage}",)
    masks = "the" if result.mask_sha256 == stamp.get("mask_sha256") else "NOT the"
    evidence = f"no pass introduces it; the file records {masks} masks that this checkpoint has"
    return evidence, f"probable cause: {note or 'the file was changed after conversion'}"

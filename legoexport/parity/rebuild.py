"""Rebuild a converted file from its network, as its provenance says that it was made.

The plan, the target and the versions are in the stamp; opset, batch and size of the input are in
the model itself. What was measured at conversion, and not computed from the checkpoint, is taken
from the file: the error against PyTorch, the digest of a machine's constants, the versions of
packages that only ran the file, and the scales that calibration gave a network of integers, which
their digest is held against.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping

import onnx

from legoexport.compile.freeze import FrozenNetwork
from legoexport.compile.pipeline import compile_network
from legoexport.compile.read_scales import read_scales
from legoexport.compile.stages import CompileOptions, Observer
from legoexport.compile.stamp import (
    installed_versions,
    read_integer_ranges,
    read_stamp,
    stamp,
)
from legoexport.errors import UsageError
from legoexport.lego.file_facts import PREFIX, read_facts
from legoexport.lego.normalization import Normalization
from legoexport.parity.blame import CompileInputs
from legoexport.parity.opened import OpenedModel
from legoexport.passes.plan import Plan
from legoexport.target import find_target

DEFAULT_DOMAINS = ("", "ai.onnx")
# They run a file and make its random images; none of them has a say in its bytes.
BYSTANDERS = ("onnxruntime", "numpy")
DIGEST = re.compile("[0-9a-f]{64}")


def compile_inputs(opened: OpenedModel, network: FrozenNetwork) -> CompileInputs:
    """Return a network and how, as a converted file says, it was compiled.

    Raises:
        UsageError: The plan or the target in its metadata is damaged or unknown.
    """
    return CompileInputs(network, opened.example(), compile_options(opened))


def compile_options(opened: OpenedModel) -> CompileOptions:
    """Read from a converted file how it was compiled.

    Raises:
        UsageError: The plan or the target in its metadata is damaged or unknown.
    """
    facts, precision = read_stamp(opened.model), opened.facts.precision
    resize = opened.facts.resize
    opsets = {entry.domain: entry.version for entry in opened.model.opset_import}
    return CompileOptions(
        target=find_target(facts.get("target", "")),
        opset=next(opsets[domain] for domain in DEFAULT_DOMAINS if domain in opsets),
        dynamic_batch=opened.runtime.fixed_batch_size is None,
        plan=Plan.from_json(facts.get("plan", ""), source="legoexport.plan in the model"),
        store="fp32" if precision == "int8" else opened.facts.store,
        precision=precision,
        scales=read_scales(opened.model) if precision == "int8" else None,
        pixels=opened.pixels,
        source_size=None if resize is None else resize.source,
        output=opened.facts.output,
    )


def rebuild(
    inputs: CompileInputs,
    recorded: onnx.ModelProto,
    *,
    checkpoint_sha256: str | None,
    normalization: Normalization | None,
    class_names: tuple[str, ...] = (),
    observe: Observer | None = None,
) -> onnx.ModelProto:
    """Return the file that ``convert`` writes for a network.

    Args:
        inputs: The network and what it is compiled for.
        recorded: The converted file, which says what was measured.
        checkpoint_sha256: Digest of the checkpoint that the network came from.
        normalization: Of the pictures in training; None to take what the file says.
        class_names: As the checkpoint has them; none to take what the file says.
        observe: Called with a snapshot after each stage.

    Raises:
        UsageError: The plan or the target does not fit the network.
    """
    compiled = compile_network(inputs.network, inputs.example, inputs.options, observe)
    facts = read_stamp(recorded)
    digest = facts.get("cost_model_sha256", "")
    model = stamp(
        compiled,
        checkpoint_sha256=checkpoint_sha256,
        target=inputs.options.target.name,
        relative_error=_relative_error(facts),
        normalization=normalization or _normalization(recorded),
        class_names=class_names or _class_names(recorded),
        cost_model_sha256=digest if DIGEST.fullmatch(digest) else None,
        integer_ranges=read_integer_ranges(recorded),
        calibration=facts.get("calibration"),
    )
    entry = next(one for one in model.metadata_props if one.key == f"{PREFIX}versions")
    versions, installed = recorded_versions(recorded), installed_versions()
    kept = {
        name: versions[name]
        for name, version in installed.items()
        if name in versions and (name in BYSTANDERS or not differ(versions[name], version))
    }
    entry.value = json.dumps(installed | kept)
    return model


def differ(version: str, other: str) -> bool:
    """Whether two versions of a package differ in more than what they were built for."""
    return version.partition("+")[0] != other.partition("+")[0]


def recorded_versions(model: onnx.ModelProto) -> Mapping[str, str]:
    """Return the versions of packages that a file names; empty if they cannot be read."""
    try:
        versions = json.loads(read_stamp(model).get("versions", ""))
    except (ValueError, RecursionError):
        return {}
    if not isinstance(versions, dict):
        return {}
    return {name: version for name, version in versions.items() if isinstance(version, str)}


def _relative_error(facts: Mapping[str, str]) -> float:
    """Return what was measured; 0, which the file then does not say, if it is no error."""
    try:
        error = float(facts.get("measured_relative_error", ""))
    except ValueError:
        return 0.0
    return error if math.isfinite(error) and error >= 0 else 0.0


def _normalization(model: onnx.ModelProto) -> Normalization | None:
    try:
        return read_facts(model).normalization
    except UsageError:
        return None


def _class_names(model: onnx.ModelProto) -> tuple[str, ...]:
    try:
        return read_facts(model).class_names
    except UsageError:
        return ()

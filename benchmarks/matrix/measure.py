"""One backbone: its files, its golden outputs, and how a runtime's outputs compare with them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isfinite

import torch
from torch import nn

from benchmarks.matrix.names import BATCH, HYPERPARAMETERS
from benchmarks.matrix.records import Cell, FileRecord
from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import lower, prepare
from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.deliver.prove import rounding_growth
from legoexport.errors import CheckFailed
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.registry import build, input_shape
from legoexport.ort.partitions import check_partitions
from legoexport.parity.inputs import InputSet, random_inputs
from legoexport.parity.judge import combine
from legoexport.parity.judge_outputs import judge_outputs
from legoexport.parity.reference import Reference, ReferenceNetwork
from legoexport.passes.lowerings import LOWERINGS
from legoexport.runtimes import Feed, Replay, Runtime
from legoexport.tune.candidates import uniform_plans

SEED = 2019


@dataclass(frozen=True)
class Backbone:
    """A backbone up to its lowerings, and what it must give.

    Attributes:
        name: One of ``names.BACKBONES``.
        prepared: With a fixed batch, for target cpu, which allows every lowering.
        inputs: Sets of images.
        references: PyTorch's outputs for each of them, in float64 and float32.
    """

    name: str
    prepared: Prepared
    inputs: tuple[InputSet, ...]
    references: tuple[Reference, ...]

    @property
    def idle(self) -> tuple[str, ...]:
        """Lowerings that serve no layer."""
        return tuple(name for name in LOWERINGS if name not in uniform_plans(self.prepared))


@dataclass(frozen=True)
class BuiltFile:
    """A file of a backbone.

    Attributes:
        file: What is known about it without a runtime.
        content: The ONNX file.
        growth: The rounding growth of its lowerings.
    """

    file: FileRecord
    content: bytes
    growth: float


def load(name: str) -> Backbone:
    """Build a backbone from a seed, and run its images through PyTorch.

    Each set of images is one batch: an emulated processor takes many seconds for each.
    """
    arch = f"lego_{name}"
    torch.manual_seed(SEED)
    module = settled(build(arch, **HYPERPARAMETERS))
    shape = input_shape(arch, HYPERPARAMETERS)
    example = torch.zeros(BATCH, *shape)
    options = CompileOptions(dynamic_batch=False)
    inputs = tuple(
        replace(one, arrays=(one.images[:BATCH],)) for one in random_inputs(shape, BATCH)
    )
    network = ReferenceNetwork(module)
    references = tuple(network.run(one.images) for one in inputs)
    return Backbone(name, prepare(freeze(module, example), example, options), inputs, references)


def build_files(backbone: Backbone, lowerings: Sequence[str]) -> Iterator[BuiltFile]:
    """Make the file of each lowering that serves any layer, one at a time."""
    for lowering, plan in uniform_plans(backbone.prepared).items():
        if lowering not in lowerings:
            continue
        compiled = lower(backbone.prepared, plan)
        content = compiled.model.SerializeToString(deterministic=True)
        chosen = plan.lowerings.values()
        file = FileRecord(
            backbone=backbone.name,
            lowering=lowering,
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            layers_count=len(plan.lowerings),
            served_count=sum(name == lowering for name in chosen),
            partitions=check_partitions(content),
        )
        yield BuiltFile(file, content, rounding_growth(compiled))


def take(backbone: Backbone, built: BuiltFile, runtime: Runtime) -> Cell:
    """Run a file on a runtime and judge what it gives; a runtime that stops fails its cell.

    Raises:
        UsageError: The runtime is not installed, or does not take the model.
    """
    feeds = [Feed(one.images, one.batch_size) for one in backbone.inputs]
    try:
        replay = runtime.run(built.content, feeds)
        return _judged(backbone, built, runtime.name, replay)
    except CheckFailed as error:
        return _cell(built, runtime.name, "", failure=str(error))


def _judged(backbone: Backbone, built: BuiltFile, runtime: str, replay: Replay) -> Cell:
    growth = built.growth * replay.rounding_growth
    outputs = [(one,) for one in replay.outputs]
    by_set = judge_outputs(backbone.inputs, backbone.references, outputs, growth=growth)
    agreement = combine(by_set)
    is_finite = isfinite(agreement.max_abs_error)
    return replace(
        _cell(built, runtime, replay.runtime),
        error_ratio=agreement.relative_error if is_finite else None,
        limit_ratio=agreement.limit / agreement.output_range,
        passed=agreement.passed,
        nodes=dict(Counter(node.provider for node in replay.placement)),
    )


def _cell(built: BuiltFile, runtime: str, described: str, failure: str = "") -> Cell:
    file = built.file
    identity = (file.backbone, file.lowering, runtime, file.sha256, described)
    return Cell(*identity, None, None, passed=False, nodes={}, failure=failure)


def settled(module: nn.Module) -> nn.Module:
    """Give every batch norm statistics as training leaves them, and every mask random logits."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, 0.0, 0.1)  # type: ignore[arg-type]
            nn.init.uniform_(layer.running_var, 0.5, 1.5)  # type: ignore[arg-type]
            nn.init.normal_(layer.weight, 1.0, 0.2)
            nn.init.normal_(layer.bias, 0.0, 0.2)
        elif isinstance(layer, LegoConv2d):
            nn.init.normal_(layer.mask_logits)
    return module

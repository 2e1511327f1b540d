"""One network in int8: its files for each target, and how their integers compare elsewhere."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import torch
from torch import nn

from benchmarks.matrix.int8_records import IntegerCell
from benchmarks.matrix.measure import SEED, settled
from benchmarks.matrix.names import BATCH, HYPERPARAMETERS
from legoexport.compile.stages import CompileOptions, Stage
from legoexport.deliver.convert import convert_module
from legoexport.errors import CheckFailed
from legoexport.models.registry import build, input_shape
from legoexport.parity.inputs import InputSet
from legoexport.parity.integer.elsewhere import IntegersElsewhere, run_elsewhere
from legoexport.parity.integer.walk import frozen_layers
from legoexport.parity.integer.walk_file import FileWalk, IntegerGraph
from legoexport.parity.opened import OpenedModel, open_model
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from legoexport.runtimes import Runtime
from legoexport.target import TARGETS
from runtime_tests.networks import SmallNet

FOLDED = "drop_unused_pairs"
SMALL_SHAPE = (3, 8, 8)
IMAGES_COUNT = 12


def network(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """Build one of ``NETWORKS`` from a seed; return it and the shape of an image."""
    torch.manual_seed(SEED)
    if name == "small":
        return settled(SmallNet()), SMALL_SHAPE
    arch, sizes = f"lego_{name}", {} if name == "digits" else HYPERPARAMETERS
    return settled(build(arch, **sizes)), input_shape(arch, sizes)


def take(name: str, target: str, runtimes: list[Runtime]) -> list[IntegerCell]:
    """Convert a network for a target, and walk its file on each runtime."""
    module, shape = network(name)
    images = np.random.default_rng(SEED).standard_normal((IMAGES_COUNT, *shape), np.float32)
    folded: list[onnx.ModelProto] = []

    def keep(stage: Stage) -> None:
        if stage.name == FOLDED:
            folded.append(stage.model)

    conversion = convert_module(
        module,
        torch.zeros(BATCH, *shape),
        CompileOptions(TARGETS[target], precision="int8", dynamic_batch=False),
        calibrate=CalibrationOptions(CalibrationImages.of(images)),
        observe=keep,
    )
    opened = open_model(conversion.model_bytes)
    walk = FileWalk(IntegerGraph(opened.model, frozen_layers(folded[0]), folded[0]))
    inputs = InputSet("images", (images[:BATCH],), BATCH)
    return [_cell((name, target), opened, walk, inputs, runtime) for runtime in runtimes]


def _cell(
    row: tuple[str, str],
    opened: OpenedModel,
    walk: FileWalk,
    inputs: InputSet,
    runtime: Runtime,
) -> IntegerCell:
    sha256 = hashlib.sha256(opened.model_bytes).hexdigest()
    try:
        _, (found,) = run_elsewhere(opened, walk, [inputs], [runtime], lambda _: None)
    except CheckFailed as error:
        return IntegerCell(*row, runtime.name, sha256, failure=str(error))
    return _judged(row, sha256, found)


def _judged(row: tuple[str, str], sha256: str, found: IntegersElsewhere) -> IntegerCell:
    layers = found.walked.layers
    return IntegerCell(
        *row,
        found.name,
        sha256,
        found.runtime,
        layers_count=len(layers),
        values_count=sum(one.values_count for one in layers),
        ties_count=sum(one.ties_count for one in layers),
        differing_count=sum(one.wrong_count for one in layers),
        steps=max(one.largest_excess_steps for one in layers),
        passed=found.passed,
    )

"""Blame: compile the checkpoint again, watch after each pass, and name the one that went wrong.

Before lowering, a layer consists of tables, whose dense form must not change. After lowering it
consists of nodes, which are cut out and probed. If no layer shows the error, each stage runs as a
whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor

from legoexport.compile.freeze import FrozenNetwork
from legoexport.compile.pipeline import compile_network
from legoexport.compile.stages import CompileOptions, Stage
from legoexport.compile.stamp import mask_digest
from legoexport.errors import LegoExportError
from legoexport.lego.file_facts import FileFacts
from legoexport.lego.output_form import SCORES, top_count
from legoexport.ort.session import RuntimeModel
from legoexport.parity.dense_form import DenseForm, batch_norms_after
from legoexport.parity.expectation import ExpectedLayer
from legoexport.parity.inputs import InputSet
from legoexport.parity.judge import combine
from legoexport.parity.judge_outputs import judge_outputs
from legoexport.parity.layer_check import check_tables
from legoexport.parity.rankings import Ranking, largest
from legoexport.parity.reference import Reference
from legoexport.passes import lego_op
from legoexport.passes.give_probabilities import CLASS_AXIS, PROBABILITIES
from legoexport.passes.give_top import INDICES, TOP
from legoexport.passes.lower_lego import lower_alike
from legoexport.passes.lowerings.dense import Dense

StageCheck = Callable[[onnx.ModelProto], bool]
TOP_CLASSES = Ranking(INDICES, PROBABILITIES, CLASS_AXIS, TOP)


@dataclass(frozen=True)
class CompileInputs:
    """What a file was compiled from and what for.

    Attributes:
        network: The frozen network.
        example: One batch of every input of the file.
        options: Target, opset, batch and plan.
    """

    network: FrozenNetwork
    example: tuple[Tensor, ...]
    options: CompileOptions


@dataclass(frozen=True)
class Recompilation:
    """What compiling again showed.

    Attributes:
        bad_stage: The first stage that leaves a wrong model, or None.
        mask_sha256: Digest of the masks that the checkpoint gives.
    """

    bad_stage: str | None
    mask_sha256: str


def recompile(inputs: CompileInputs, is_right: StageCheck) -> Recompilation:
    """Compile again and judge the model after each stage.

    A stage after which the model cannot even be evaluated counts as wrong.

    Raises:
        UsageError: The plan does not fit the network.
    """
    wrong: list[str] = []

    def observe(stage: Stage) -> None:
        if not wrong and not _holds(is_right, stage.model):
            wrong.append(stage.name)

    compiled = compile_network(inputs.network, inputs.example, inputs.options, observe)
    return Recompilation(wrong[0] if wrong else None, mask_digest(compiled.layers))


def layer_check(expected: ExpectedLayer) -> StageCheck:
    """Return a check of one layer alone."""
    layer, whole = expected.record.layer, expected.emitted.form()

    def is_right(model: onnx.ModelProto) -> bool:
        graph = ir.from_proto(model).graph
        nodes = {node.layer: node for node in lego_op.find(graph)}
        if layer not in nodes:
            return check_tables(expected, model, batch_size=None, threads=1).passed
        norms = batch_norms_after(nodes[layer].y)
        return not DenseForm.of(nodes[layer].frozen).normalized(norms).differs_from(whole)

    return is_right


def network_check(
    inputs: InputSet, reference: Reference, growth: float, facts: FileFacts
) -> StageCheck:
    """Return a check of the whole network; Lego nodes run as dense convolutions.

    Where the finished file, by its ``facts``, takes pixels or gives probabilities or the likeliest
    classes, earlier stages take them normalised and give scores.
    """
    pixels, resize, gives = facts.pixels, facts.resize, facts.output

    def is_right(model: onnx.ModelProto) -> bool:
        runtime = RuntimeModel(_standard(model).SerializeToString(), threads=1)
        given = inputs
        if pixels is not None and runtime.inputs[0].is_image:
            scaled = inputs.images if resize is None else resize.applied(inputs.images)
            normalised = pixels.applied(np.moveaxis(scaled, 3, 1))
            given = replace(inputs, arrays=(normalised,))
        outputs = _finished(runtime.run_all(given.arrays, given.batch_size), gives)
        judged = judge_outputs(
            [given],
            [reference],
            [tuple(outputs.values())],
            growth=growth,
            names=tuple(outputs),
            ranked=() if top_count(gives) is None else (TOP_CLASSES,),
        )
        return combine(judged).passed

    return is_right


def _finished(outputs: Mapping[str, NDArray[Any]], gives: str) -> Mapping[str, NDArray[Any]]:
    """Return what a file gives, by name, for the outputs of any stage on the way to it."""
    count = top_count(gives)
    if gives == SCORES or INDICES in outputs:
        return outputs
    ((name, shares),) = outputs.items()
    if name != PROBABILITIES:
        shares = torch.from_numpy(shares).softmax(dim=1).numpy()
    if count is None:
        return {PROBABILITIES: shares}
    return dict(zip((PROBABILITIES, INDICES), largest(shares, count), strict=True))


def _holds(is_right: StageCheck, model: onnx.ModelProto) -> bool:
    try:
        return is_right(model)
    except LegoExportError:
        return False


def _standard(model: onnx.ModelProto) -> onnx.ModelProto:
    standard = ir.from_proto(model)
    lower_alike(standard, Dense.name)
    return ir.to_proto(standard)

"""Gather: every check and measurement of a report, by what the other commands call."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from legoexport.compile.freeze import freeze
from legoexport.errors import UsageError
from legoexport.host.machine import describe
from legoexport.host.progress import Progress
from legoexport.host.reading import read_bytes
from legoexport.inspect.inventory_onnx import summarize_model
from legoexport.inspect.layer_partitions import place_layers
from legoexport.lego.file_facts import PREFIX
from legoexport.lego.layer_records import LAYERS_KEY
from legoexport.measure.machine_view import machine_rows
from legoexport.measure.options import BenchOptions
from legoexport.measure.run import bench, compare
from legoexport.measure.timing import Comparison, Timing
from legoexport.models.checkpoint import Checkpoint
from legoexport.ort.model_file import file_size_bytes
from legoexport.ort.partitions import check_partitions, placements_here
from legoexport.ort.session import RuntimeModel
from legoexport.parity.inputs import InputSet
from legoexport.parity.opened import OpenedModel
from legoexport.parity.verification import Verification
from legoexport.parity.verify import verify_opened
from legoexport.quantize.cost import RoundingCost
from legoexport.quantize.file_cost import file_cost
from legoexport.quantize.trained import TWIN
from legoexport.report.converted import Converted
from legoexport.report.facts import Commands, Facts, LayerMasks, Rights, Subject

PROVIDERS_HERE = ("CPUExecutionProvider",)
# Long, and shown layer by layer in tables of their own.
NOT_SHOWN = (LAYERS_KEY.removeprefix(PREFIX), "plan", "class_names")


@dataclass(frozen=True)
class Request:
    """What a report is to be about.

    Attributes:
        checkpoint: The network.
        opened: The ONNX file.
        model: Path of that.
        other: The dense network to compare with, or None.
        data: Real images, or None.
        judging: Those of them that tell what rounding costs, as the network takes them; None
            without any, or for a file that rounds nothing.
        twin: A file to show beside this one there, or None.
        options: How to measure.
        commands: What repeats the numbers.
        converted: What ``convert`` printed of the conversion, or None.
    """

    checkpoint: Checkpoint
    opened: OpenedModel
    model: Path
    other: Path | None
    data: InputSet | None
    options: BenchOptions
    commands: Commands
    judging: InputSet | None = None
    twin: Path | None = None
    converted: Converted | None = None


def gather(request: Request, progress: Progress = lambda _: None) -> Facts:
    """Verify, count and measure.

    Raises:
        UsageError: A file cannot be read, does not fit the other, or legoexport did not write it.
        CheckFailed: A run fails.
        ParityFailed: The file cannot be judged.
    """
    opened, checkpoint = request.opened, request.checkpoint
    _check_converted(request)
    inventory = place_layers(summarize_model(opened.model), opened.model_bytes)
    verification = verify_opened(checkpoint, opened, data=request.data, progress=progress)
    progress("looking at the masks")
    frozen = freeze(checkpoint.module, opened.example())
    layers = zip(frozen.layers.values(), frozen.audits, strict=True)
    return Facts(
        subject=_subject(request),
        commands=request.commands,
        verification=verification,
        inventory=inventory,
        layers=tuple(LayerMasks(one, audit) for one, audit in layers),
        partitions=check_partitions(opened.model_bytes),
        placed_here=placements_here(opened.model_bytes, PROVIDERS_HERE),
        measured=_measured(request, progress),
        rights=_rights(request, verification),
        machine=tuple(machine_rows(describe())),
        cost=_cost(request, verification, progress),
    )


def _check_converted(request: Request) -> None:
    converted, size_bytes = request.converted, len(request.opened.model_bytes)
    if converted is None:
        return
    known = (converted.checkpoint_sha256, converted.size_bytes)
    if known != (request.checkpoint.sha256, size_bytes):
        raise UsageError(
            f"{converted.source} describes another conversion",
            received=f"checkpoint {known[0][:12]}, {known[1]} bytes",
            legal=f"checkpoint {request.checkpoint.sha256[:12]}, {size_bytes} bytes",
        )


def _subject(request: Request) -> Subject:
    opened, other = request.opened, request.other
    entries = opened.facts.entries
    return Subject(
        checkpoint=str(request.checkpoint.path),
        checkpoint_sha256=request.checkpoint.sha256,
        model=str(request.model),
        model_sha256=hashlib.sha256(opened.model_bytes).hexdigest(),
        size_bytes=file_size_bytes(request.model),
        other=None if other is None else str(other),
        other_size_bytes=None if other is None else file_size_bytes(other),
        provenance={key: entries[key] for key in sorted(entries) if key not in NOT_SHOWN},
        class_names=opened.facts.class_names,
        precision=opened.facts.precision,
        store=opened.facts.store,
    )


def _measured(request: Request, progress: Progress) -> Timing | Comparison:
    if request.other is None:
        return bench(request.model, request.options, progress)
    return compare(request.model, request.other, request.options, progress)


def _cost(request: Request, found: Verification, progress: Progress) -> RoundingCost | None:
    """Measure what rounding costs a file that is proved, or take what ``convert`` said."""
    if request.judging is None or not found.passed:
        return request.converted.cost if request.converted else None
    progress("telling what rounding costs")
    others = {} if request.twin is None else {TWIN: read_bytes(request.twin)}
    return file_cost(request.checkpoint.module, request.opened, request.judging, others)


def _rights(request: Request, found: Verification) -> Rights | None:
    accuracy, data = found.agreement.accuracy, request.data
    if data is None or data.labels is None:
        return None
    # verify counts where it judges outputs; those of a file in int8 it only measures.
    own = accuracy.onnx_correct_count if accuracy else _right_count(request.opened.runtime, data)
    if own is None:
        return None
    other = None
    if request.other is not None:
        dense = RuntimeModel(read_bytes(request.other), request.opened.threads)
        other = _right_count(dense, data)
    return Rights(len(data.labels), own, other)


def _right_count(runtime: RuntimeModel, data: InputSet) -> int | None:
    """Count what a file gets right; None if it takes other images, or gives not scores alone."""
    specs = [(one.shape, one.dtype) for one in runtime.inputs]
    takes_them = specs == [(data.images.shape[1:], str(data.images.dtype))]
    if not takes_them or len(runtime.output_names) != 1 or data.labels is None:
        return None
    scores = runtime.run(data.images, runtime.fixed_batch_size or data.batch_size)
    return int((scores.argmax(axis=1) == data.labels).sum())

"""Hold the options of ``legoexport convert`` against each other, before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from legoexport.commands import convert_options as parse
from legoexport.commands.convert_outputs import machine_file, outputs
from legoexport.commands.convert_request import ConvertRequest
from legoexport.commands.int8_options import check_max_drop, check_precision
from legoexport.commands.shape_options import check_shapes
from legoexport.host.outputs import check_outputs
from legoexport.target import find_target

if TYPE_CHECKING:
    from legoexport.compile.stages import CompileOptions
    from legoexport.tune import TuneOptions


@dataclass(frozen=True)
class Checked:
    """What the options mean together, as far as they tell without the checkpoint.

    Attributes:
        as_ort: Whether to write ORT format.
        max_size_bytes: Largest file that is accepted.
        tuning: How to measure plans, if they are to be measured.
        options: What to compile for; the ends of the file are not known yet.
        batch_size: Images in the example, which is the batch of the file unless that is open.
    """

    as_ort: bool
    max_size_bytes: int | None
    tuning: TuneOptions | None
    options: CompileOptions
    batch_size: int


def check(request: ConvertRequest) -> Checked:
    """Return what the options mean.

    Raises:
        UsageError: A value is not legal, two options contradict each other, or an output may not
            be written.
    """
    as_ort = parse.is_ort(request.out, request.file_format)
    _check_together(request, as_ort=as_ort)
    max_size_bytes = None if request.max_size is None else parse.size_bytes(request.max_size)
    preference = parse.preference(request.objective, request.threads, ort_format=as_ort)
    tuning = parse.tuning(request, preference) if request.tune else None
    options = parse.with_constants(parse.compile_options(request, preference), request.machine)
    _check_files(request, as_ort=as_ort)
    batch_size = parse.batch_size(request.batch) or 1
    return Checked(as_ort, max_size_bytes, tuning, options, batch_size)


def _check_together(request: ConvertRequest, *, as_ort: bool) -> None:
    parse.check_unused(request)
    of_images = {"--data": request.data, "--input-size": request.input_size}
    check_shapes(of_images, as_ort=as_ort)
    target = find_target(request.target_name)
    check_precision(request.precision, request.data, target, as_ort=as_ort)
    check_max_drop(request.max_drop, request.precision)
    parse.check_store(request.store, request.data, request.precision, as_ort=as_ort)


def _check_files(request: ConvertRequest, *, as_ort: bool) -> None:
    inputs = {
        "CHECKPOINT": request.checkpoint,
        "--plan": request.plan_file,
        "--data": request.data,
        "--machine": machine_file(request.machine),
    }
    twin, stages = request.dense_twin, request.save_stages
    written = outputs(request.out, request.save_plan, twin, stages, as_ort=as_ort)
    check_outputs(written, inputs, force=request.force)

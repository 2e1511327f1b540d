"""What ``legoexport convert`` does once its options are checked: load, convert, pack, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from legoexport.commands.checkpoint_options import load_checkpoint
from legoexport.commands.convert_checks import Checked
from legoexport.commands.convert_outputs import readable
from legoexport.commands.convert_request import ConvertRequest
from legoexport.commands.ends_options import with_ends
from legoexport.commands.int8_options import images as read_images
from legoexport.commands.outcome_view import Outcome
from legoexport.commands.picture_options import picture_normalization
from legoexport.commands.shape_options import example_of
from legoexport.compile.stages import CompileOptions
from legoexport.deliver import packaging
from legoexport.deliver.conversion import Conversion
from legoexport.deliver.convert import convert_module
from legoexport.deliver.packaging import Package
from legoexport.deliver.stage_files import stage_writer
from legoexport.host.atomic import write_bytes
from legoexport.host.progress import Progress
from legoexport.host.report import step_progress
from legoexport.lego.normalization import Normalization
from legoexport.measure.memory import measure_memory
from legoexport.models.checkpoint import Checkpoint
from legoexport.parity.inputs import InputSet
from legoexport.quantize.calibrators import DEFAULT_METHOD
from legoexport.quantize.settle import CalibrationOptions

Writer = Callable[[bytes], None]


@dataclass(frozen=True)
class Loaded:
    """All that is read, and what the options mean for it.

    Attributes:
        checkpoint: The network and what is known of it.
        options: What to compile for, the ends of the file included.
        normalization: Of the pictures in training, if it is known.
        example: One batch of every input.
        calibrate: Real images to calibrate int8 with.
        judging: Real images to tell what fewer bits cost on.
    """

    checkpoint: Checkpoint
    options: CompileOptions
    normalization: Normalization | None
    example: Tensor | tuple[Tensor, ...]
    calibrate: CalibrationOptions | None
    judging: InputSet | None


def carry_out(request: ConvertRequest, checked: Checked, write_out: Writer) -> Outcome:
    """Convert a checkpoint and write what was asked for.

    Args:
        request: What was typed.
        checked: What it means.
        write_out: Writes ``request.out``, a file or standard output.
    """
    with step_progress() as progress:
        loaded = _loaded(request, checked, progress)
        conversion = _converted(request, checked, loaded, progress)
        packed = _packed(checked, loaded, conversion, progress) if checked.as_ort else None
    _write(request, conversion, packed, write_out)
    with step_progress() as progress:
        progress("measuring memory")
        return _measured(request, checked.batch_size, loaded, conversion, packed)


def _loaded(request: ConvertRequest, checked: Checked, progress: Progress) -> Loaded:
    progress("reading the checkpoint")
    checkpoint = load_checkpoint(
        request.checkpoint, request.arch, request.settings, request.factory, request.input_size
    )
    options = with_ends(checked.options, checkpoint)
    example = example_of(checkpoint, checked.batch_size)
    fixed = None if options.final_dynamic_batch else checked.batch_size
    normalization = picture_normalization(checkpoint)
    method = request.calibration or DEFAULT_METHOD
    images = read_images(
        request.data, checkpoint.image_shape, fixed, normalization, options, method
    )
    return Loaded(checkpoint, options, normalization, example, *images)


def _converted(
    request: ConvertRequest, checked: Checked, loaded: Loaded, progress: Progress
) -> Conversion:
    checkpoint = loaded.checkpoint
    return convert_module(
        checkpoint.module,
        loaded.example,
        loaded.options,
        checkpoint_sha256=checkpoint.sha256,
        normalization=loaded.normalization,
        class_names=checkpoint.class_names,
        max_size_bytes=None if checked.as_ort else checked.max_size_bytes,
        tuning=checked.tuning,
        data=loaded.judging,
        calibrate=loaded.calibrate,
        max_drop_points=request.max_drop,
        dense_twin=request.dense_twin is not None,
        observe=stage_writer(request.save_stages) if request.save_stages else None,
        progress=progress,
    )


def _packed(
    checked: Checked, loaded: Loaded, conversion: Conversion, progress: Progress
) -> Package:
    progress("converting to ORT format")
    checkpoint, target = loaded.checkpoint, loaded.options.target
    return packaging.package(
        checkpoint.module, conversion, checkpoint.input_shape, target, checked.max_size_bytes
    )


def _write(
    request: ConvertRequest, conversion: Conversion, packed: Package | None, write_out: Writer
) -> None:
    if packed:
        packaging.write(packed, request.out)
    else:
        write_out(conversion.model_bytes)
    if request.dense_twin and conversion.dense_twin:
        write_bytes(request.dense_twin, conversion.dense_twin)
    if request.save_plan:
        write_bytes(request.save_plan, conversion.compiled.plan.to_json().encode())


def _measured(
    request: ConvertRequest,
    batch_size: int,
    loaded: Loaded,
    conversion: Conversion,
    packed: Package | None,
) -> Outcome:
    with readable(request.out, conversion.model_bytes) as file:
        memory = measure_memory(file, batch_size)
    twin = measure_memory(request.dense_twin, batch_size) if request.dense_twin else None
    return Outcome(
        conversion=conversion,
        checkpoint=loaded.checkpoint,
        options=loaded.options,
        out=request.out,
        package=packed,
        memory=memory,
        dense_twin=request.dense_twin,
        dense_twin_memory=twin,
    )

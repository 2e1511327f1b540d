"""What a trained cell costs once it is converted: parameters, bytes, milliseconds, accuracy."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.deliver.dense_twin import convert_dense_twin
from legoexport.host import atomic
from legoexport.inspect.inventory_torch import summarize_module
from legoexport.measure.run import bench
from legoexport.models.checkpoint import Checkpoint, read_checkpoint
from legoexport.quantize.images import Divided
from legoexport.quantize.settle import CalibrationOptions
from legoexport.sweep.folder import Folder, Measurement
from legoexport.sweep.grid import Variant
from legoexport.sweep.pictures import count_correct, divided_pictures
from legoexport.sweep.request import SweepRequest

# Two processes of one file differ lastingly, so each round starts a new one; the fastest counts.
ROUNDS_COUNT = 3


def convert_variant(request: SweepRequest, folder: Folder, variant: Variant) -> Measurement:
    """Convert a cell's checkpoint; a file in int8 is judged on the held-out pictures too.

    Returns:
        What is known before any round of measuring.

    Raises:
        CheckFailed: The file cannot be proved equal to its network.
        UsageError: The checkpoint or the pictures are gone.
    """
    is_dense = variant.cell.design.is_dense
    checkpoint = read_checkpoint(folder.checkpoint(variant.cell), dense=is_dense)
    pictures = None
    if variant.precision == "int8":
        shape, normalization = checkpoint.input_shape, checkpoint.normalization
        pictures = divided_pictures(request.source, shape, normalization)
    content = _converted(checkpoint, pictures, is_dense=is_dense)
    atomic.write_bytes(folder.model(variant), content)
    return Measurement(
        parameters_count=_parameters_count(checkpoint, is_dense=is_dense),
        size_bytes=len(content),
        correct_count=None if pictures is None else count_correct(content, pictures.judging),
        test_count=None if pictures is None else len(pictures.judging.images),
    )


def time_variant(
    request: SweepRequest, folder: Folder, variant: Variant, known: Measurement
) -> Measurement:
    """Measure a converted file for one round, in a process of its own.

    Raises:
        UsageError: ONNX Runtime does not run the file.
    """
    options = request.bench_options
    share = replace(options, duration_s=options.duration_s / ROUNDS_COUNT)
    timing = bench(folder.model(variant), share)
    return replace(
        known,
        latencies_ms=(*known.latencies_ms, timing.latency.p50_ms),
        threads=timing.threads,
        runtime=timing.runtime,
    )


def _converted(checkpoint: Checkpoint, pictures: Divided | None, *, is_dense: bool) -> bytes:
    """Compile a network: in float, or in integers if there are pictures to calibrate with."""
    example, options, calibrate = torch.zeros(1, *checkpoint.input_shape), CompileOptions(), None
    if pictures is not None:
        options = CompileOptions(precision="int8")
        calibrate = CalibrationOptions(pictures.calibration)
    if is_dense:
        return convert_dense_twin(checkpoint.module, example, options, calibrate)
    conversion = convert_module(
        checkpoint.module,
        example,
        options,
        checkpoint_sha256=checkpoint.sha256,
        normalization=checkpoint.normalization,
        class_names=checkpoint.class_names,
        calibrate=calibrate,
    )
    return conversion.model_bytes


def _parameters_count(checkpoint: Checkpoint, *, is_dense: bool) -> int:
    if is_dense:
        return _weights_count(checkpoint.module)
    return summarize_module(checkpoint.module, checkpoint.input_shape).totals.weights_coefficients


def _weights_count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())

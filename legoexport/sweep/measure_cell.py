"""What a trained cell costs once it is converted: parameters, bytes, milliseconds."""

from __future__ import annotations

from torch import nn

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module, example_input
from legoexport.deliver.dense_twin import convert_dense_twin
from legoexport.host import atomic
from legoexport.inspect.inventory_torch import summarize_module
from legoexport.measure.run import bench
from legoexport.models.checkpoint import Checkpoint, read_checkpoint
from legoexport.sweep.folder import Folder, Measurement
from legoexport.sweep.grid import Cell
from legoexport.sweep.request import SweepRequest


def measure_cell(request: SweepRequest, folder: Folder, cell: Cell) -> Measurement:
    """Convert a cell's checkpoint, and measure the file in a process of its own.

    Raises:
        CheckFailed: The file cannot be proved equal to its network.
        UsageError: The checkpoint is gone, or ONNX Runtime does not run the file.
    """
    checkpoint = read_checkpoint(folder.checkpoint(cell), dense=cell.design.is_dense)
    model = folder.model(cell)
    atomic.write_bytes(model, _converted(checkpoint, is_dense=cell.design.is_dense))
    timing = bench(model, request.bench_options)
    return Measurement(
        parameters_count=_parameters_count(checkpoint, is_dense=cell.design.is_dense),
        size_bytes=timing.file_size_bytes,
        latency_p50_ms=timing.latency.p50_ms,
        threads=timing.threads,
        runtime=timing.runtime,
    )


def _converted(checkpoint: Checkpoint, *, is_dense: bool) -> bytes:
    example, options = example_input(checkpoint.input_shape), CompileOptions()
    if is_dense:
        return convert_dense_twin(checkpoint.module, example, options)
    conversion = convert_module(
        checkpoint.module,
        example,
        options,
        checkpoint_sha256=checkpoint.sha256,
        normalization=checkpoint.normalization,
        class_names=checkpoint.class_names,
    )
    return conversion.model_bytes


def _parameters_count(checkpoint: Checkpoint, *, is_dense: bool) -> int:
    if is_dense:
        return _weights_count(checkpoint.module)
    return summarize_module(checkpoint.module, checkpoint.input_shape).totals.weights_coefficients


def _weights_count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())

"""Prove a compiled network: in float by its outputs, in integers node by node."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from torch import nn

from legoexport.compile.lower_in_float import lower_in_float
from legoexport.compile.stages import Compiled, Prepared
from legoexport.deliver import invariants
from legoexport.deliver.integer_invariants import Computes, check_integers
from legoexport.errors import CheckFailed, ParityFailed
from legoexport.lego.resampling import Resize
from legoexport.ort.session import RuntimeModel
from legoexport.parity import rankings
from legoexport.parity.agreement import Agreement
from legoexport.parity.inputs import SEED, InputSet, random_inputs
from legoexport.parity.integer.ends import without_ends
from legoexport.parity.integer.walk_file import FileWalk, IntegerGraph, Walked
from legoexport.parity.judge import measure_freely
from legoexport.parity.judge_outputs import check_model, input_sets
from legoexport.parity.reference import ReferenceNetwork, reference_of
from legoexport.passes.lowerings import find_lowering
from legoexport.quantize.calibrate import ImageSet
from legoexport.quantize.settle import CalibrationOptions
from legoexport.training.data.decode import fitted

IMAGES_COUNT = 16


def hold_invariants(compiled: Compiled, model_bytes: bytes, prepared: Prepared) -> Computes | None:
    """Hold a file to its promises; return what it computes in integers, if it does.

    Raises:
        InvariantBroken: It breaks one.
        UsageError: The target does not take an operator of the network.
    """
    target = prepared.options.target
    invariants.check_operators(compiled.model, target, prepared.homes)
    invariants.check_banks_stored_once(compiled)
    invariants.check_loads(model_bytes)
    if compiled.scales is None:
        return None
    return check_integers(compiled, model_bytes, target.activations)


def prove_outputs(
    compiled: Compiled,
    model_bytes: bytes,
    module: nn.Module,
    integer_ranges: Mapping[str, tuple[int, int]],
    calibrate: CalibrationOptions | None,
) -> Agreement:
    """Hold a float file to PyTorch by its outputs, or measure those of a file in integers.

    Args:
        compiled: The graph and its plan.
        model_bytes: The file.
        module: The network, its weights rounded to what the file holds of them.
        integer_ranges: As ``draw_inputs`` takes them.
        calibrate: What a file in integers was calibrated with.

    Raises:
        ParityFailed: A float file does not compute what PyTorch computes.
    """
    if calibrate is not None and compiled.scales is not None:
        return measure_outputs(module, model_bytes, calibrate.images)
    return _held_to_pytorch(compiled, model_bytes, module, integer_ranges, "the converted model")


def prove_in_float(
    prepared: Prepared, module: nn.Module, integer_ranges: Mapping[str, tuple[int, int]]
) -> Agreement:
    """Hold the graph that the integers of a file are proved against to PyTorch by its outputs.

    What follows the integers alone can be right of a network that was exported wrongly.

    Args:
        prepared: The network before anything in it becomes an integer.
        module: The network, its weights rounded to what the file holds of them.
        integer_ranges: As ``draw_inputs`` takes them.

    Raises:
        ParityFailed: It does not compute what PyTorch computes.
    """
    compiled = lower_in_float(prepared.model, prepared.options)
    model_bytes = compiled.model.SerializeToString(deterministic=True)
    what = "the network that integers are to follow, still in float,"
    return _held_to_pytorch(compiled, model_bytes, module, integer_ranges, what)


def _held_to_pytorch(
    compiled: Compiled,
    model_bytes: bytes,
    module: nn.Module,
    integer_ranges: Mapping[str, tuple[int, int]],
    what: str,
) -> Agreement:
    growth = rounding_growth(compiled)
    judged = reference_of(module, compiled.pixels, compiled.output, compiled.resize)
    agreement = check_model(judged, model_bytes, None, growth=growth, integer_ranges=integer_ranges)
    if not agreement.passed:
        raise ParityFailed(
            f"{what} does not compute what PyTorch computes",
            received=agreement,
            next_step=rankings.note(onnx.load_model_from_string(model_bytes), agreement),
        )
    return agreement


def measure_outputs(module: nn.Module, model_bytes: bytes, images: ImageSet) -> Agreement:
    """Measure how far the scores of a file in integers are from PyTorch's.

    There is no limit to hold them to: what integers cost depends on the network. Whether the file
    computes what it should is for its layers to prove.

    Args:
        module: The network, its weights rounded to what the file holds of them.
        model_bytes: The file.
        images: Real images, some of which are run: others leave the range of the integers.

    Raises:
        UsageError: An output has another shape than PyTorch's.
        CheckFailed: An output is not finite.
    """
    model = RuntimeModel(without_ends(model_bytes), 1, integer_kernels=False)
    size = model.fixed_batch_size or min(IMAGES_COUNT, images.count)
    batch = next(images.batches(size))
    truth = ReferenceNetwork(module).run(batch).outputs[0].float64
    actual = model.run(np.resize(batch, (size, *batch.shape[1:])), size)[: len(batch)]
    return measure_freely(truth, actual)


def prove_integers(
    compiled: Compiled,
    prepared: Prepared,
    model_bytes: bytes,
    calibrate: CalibrationOptions | None,
) -> Walked | None:
    """Hold all that a file computes in integers to an independent implementation, in one run.

    Args:
        compiled: The graph and its plan.
        prepared: The network before anything in it became an integer.
        model_bytes: The file.
        calibrate: What it was calibrated with; None if it computes in float.

    Raises:
        ParityFailed: A layer or a node gives an integer that is not right; it is named.
    """
    if calibrate is None or compiled.scales is None:
        return None
    model, unrounded = onnx.load_from_string(model_bytes), ir.to_proto(prepared.model)
    tables = {layer.layer: layer.frozen for layer in compiled.layers}
    walk = FileWalk(IntegerGraph(model, tables, unrounded))
    images = next(calibrate.images.batches(IMAGES_COUNT))
    found = walk.run(_taken(images, compiled), threads=1)
    for cause in found.causes(0):
        raise ParityFailed("the converted model does not compute its integers", received=cause)
    return found


def _taken(images: NDArray[np.float32], compiled: Compiled) -> NDArray[Any]:
    """Return images as the file takes them, pictures of its own size included."""
    if compiled.pixels is None:
        return images
    pixels, resize = compiled.pixels.undone(images), compiled.resize
    return pixels if resize is None else fitted(pixels, resize.source)


def check_resize(resize: Resize) -> None:
    """Hold the numbers that scale pictures to what the installed Pillow does.

    Raises:
        UsageError: Pillow is not installed.
        CheckFailed: It gives another bit.
    """
    rng, shape = np.random.default_rng(SEED), (2, *resize.source, 3)
    levels = rng.integers(0, 256, shape), 255 * rng.integers(0, 2, shape)
    pixels = np.concatenate(levels).astype(np.uint8)
    wrong = int((fitted(pixels, resize.size) != resize.applied(pixels)).sum())
    if wrong:
        raise CheckFailed(
            "the installed Pillow scales pictures otherwise than the file would",
            received=f"version {metadata.version('Pillow')}, which gives {wrong} other grey levels",
            legal="every level as Pillow 13.0 gives it",
            next_step="train and convert with that version, or leave --resize out",
        )


def tensor_sets(
    model_bytes: bytes,
    data: InputSet | None,
    integer_ranges: Mapping[str, tuple[int, int]],
    resize: Resize | None = None,
) -> tuple[InputSet, ...]:
    """Return random inputs for the network of a file, and ``data``: tensors if it takes pixels."""
    model = RuntimeModel(model_bytes, 1)
    if not model.inputs[0].is_pixels:
        return input_sets(model, data, integer_ranges)
    channels, *size = model.image_shape
    height, width = size if resize is None else resize.size
    drawn = random_inputs((channels, height, width), model.fixed_batch_size)
    return drawn if data is None else (*drawn, data)


def rounding_growth(compiled: Compiled) -> float:
    """Return the largest rounding growth among the lowerings of the plan."""
    return max(
        (find_lowering(name).rounding_growth for name in compiled.plan.lowerings.values()),
        default=1.0,
    )

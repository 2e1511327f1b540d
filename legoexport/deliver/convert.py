"""Convert: freeze, compile, hold the invariants, prove parity, stamp, write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from legoexport.compile.example import Example, checked_example, input_names, integer_ranges
from legoexport.compile.freeze import FrozenNetwork, freeze
from legoexport.compile.pipeline import choose_plan, lower, prepare
from legoexport.compile.stages import Compiled, CompileOptions, Observer, Prepared, Stage
from legoexport.compile.stamp import stamp
from legoexport.deliver import invariants
from legoexport.deliver.dense_twin import convert_dense_twin
from legoexport.deliver.integer_invariants import Computes
from legoexport.deliver.prove import (
    IMAGES_COUNT,
    check_resize,
    hold_invariants,
    prove_integers,
    prove_outputs,
    tensor_sets,
)
from legoexport.host import atomic
from legoexport.host.progress import Progress
from legoexport.host.staging import make_folder
from legoexport.lego.normalization import Normalization
from legoexport.models.round_weights import round_weights
from legoexport.parity.agreement import Agreement
from legoexport.parity.inputs import InputSet
from legoexport.parity.integer.walk_file import Walked
from legoexport.quantize.calibrate import Calibration
from legoexport.quantize.cost import RoundingCost
from legoexport.quantize.revert import Held, drop_limit
from legoexport.quantize.settle import CalibrationOptions, calibration_record, settle_scales
from legoexport.quantize.trained import TWIN, Trained
from legoexport.tune import Tuned, TuneOptions, tune


@dataclass(frozen=True)
class Conversion:
    """A converted network, proved but not written yet.

    Attributes:
        model_bytes: The finished ONNX file.
        compiled: The graph and how it came about.
        network: The frozen network and its audit.
        agreement: Parity of the file with PyTorch.
        tuned: How the plan was found, if it was measured.
        calibration: Where its integers come from, if it computes in int8.
        computes: What ONNX Runtime computes in integers, if it does.
        integers: How all of them compare with an independent implementation, if it does.
        held: How the file came to hold its limit on the accuracy it loses, if it has one.
        cost: What rounding costs, if the file computes in int8 or stores its weights in fewer bits.
        dense_twin: The same function as a dense network, as an ONNX file, if it was asked for.
    """

    model_bytes: bytes
    compiled: Compiled
    network: FrozenNetwork
    agreement: Agreement
    tuned: Tuned | None = None
    calibration: Calibration | None = None
    computes: Computes | None = None
    integers: Walked | None = None
    held: Held | None = None
    cost: RoundingCost | None = None
    dense_twin: bytes | None = None

    def save(self, path: Path | str) -> Path:
        """Write the file in one step and return its path.

        Raises:
            UsageError: The folder does not exist or cannot be written. An existing file is replaced
                whole or not at all.
        """
        path = Path(path)
        atomic.write_bytes(path, self.model_bytes)
        return path


def convert_module(
    module: nn.Module,
    example: Example,
    options: CompileOptions | None = None,
    *,
    checkpoint_sha256: str | None = None,
    normalization: Normalization | None = None,
    class_names: tuple[str, ...] = (),
    max_size_bytes: int | None = None,
    tuning: TuneOptions | None = None,
    data: InputSet | None = None,
    calibrate: CalibrationOptions | None = None,
    max_drop_points: float | None = None,
    dense_twin: bool = False,
    observe: Observer | None = None,
    progress: Progress = lambda _: None,
) -> Conversion:
    """Convert a live network, in any mode; it is left as it is.

    Args:
        module: A network with LegoConv2d layers. It may take several tensors, and give back
            tensors of floats, integers or booleans in tuples, lists and dicts.
        example: One input batch ``(b, c, h, w)``, or a tuple with one batch for each argument of
            the network. The file takes inputs of these sizes, and batches of ``b`` unless its
            batch is open. Integers of more than 8 bits are checked with values from the smallest
            to the largest of the example: give it the ends of the range.
        options: What to compile for.
        checkpoint_sha256: Digest of the file the network came from, for the provenance.
        normalization: Of the pictures in training, for the file to tell. None if it is not known.
        class_names: For the file to tell, if there is one for each score.
        max_size_bytes: Largest file that is accepted.
        tuning: If given, the plan is found by measuring on this machine.
        data: Real images to tell what fewer bits cost on, beside random ones.
        calibrate: Real images to calibrate a network with that is to compute in int8.
        max_drop_points: How much worse on ``data`` than the trained network a file in int8 may be,
            in percentage points: right answers lost, or without labels other classes given. Layers
            go back to float until it holds. None takes what the plan of ``options`` records.
        dense_twin: Also compile the dense network that computes the same function.
        observe: Called with a snapshot of the model after each stage.
        progress: Called with the name of each step before it starts.

    Raises:
        UsageError: The network cannot be expressed, or the plan does not fit it.
        InvariantBroken: The file breaks a promise.
        ParityFailed: The file does not compute what PyTorch computes.
        CheckFailed: The file loses more than ``max_drop_points`` even in float.
    """
    options = options or CompileOptions()
    normalization = options.pixels or normalization
    limit = drop_limit(options, max_drop_points, has_images=data is not None)
    inputs, announce = checked_example(example), _announce(observe, progress)
    rounded = round_weights(module, options.final_store)
    progress("freezing masks")
    network = freeze(rounded, inputs)
    prepared = prepare(network, inputs, options, announce)
    prepared, calibration = _calibrated(prepared, calibrate, progress)
    trained = _trained(module, inputs, options, data, progress)
    tuned = tune(prepared, tuning, progress) if tuning else None
    plan, held = tuned.plan if tuned else choose_plan(prepared), None
    if trained is not None and limit is not None:
        held = trained.held_to(limit, prepared, plan, progress)
    compiled = lower(prepared, held.plan if held else plan, announce)
    if compiled.resize is not None:
        check_resize(compiled.resize)
    progress("holding invariants")
    unstamped = compiled.model.SerializeToString(deterministic=True)
    computes = hold_invariants(compiled, unstamped, prepared)
    progress("proving parity")
    ranges = integer_ranges(input_names(network.module, inputs), inputs)
    agreement = prove_outputs(compiled, unstamped, rounded, ranges, calibrate)
    stamped = stamp(
        compiled,
        checkpoint_sha256=checkpoint_sha256,
        cost_model_sha256=options.cost_model_sha256,
        target=options.target.name,
        relative_error=agreement.relative_error,
        normalization=normalization,
        class_names=class_names,
        integer_ranges=ranges,
        calibration=None if calibration is None else calibration_record(calibration),
    ).SerializeToString(deterministic=True)
    invariants.check_size(len(stamped), compiled, max_size_bytes, class_names)
    integers = prove_integers(compiled, prepared, stamped, calibrate)
    twin = None
    if dense_twin:
        progress("building the dense twin")
        twin = convert_dense_twin(module, inputs, options, calibrate)
    if options.precision == "fp32" and options.store != "fp32":
        progress("running the trained network")
        sets = tensor_sets(unstamped, data, ranges, compiled.resize)
        trained = Trained.of(module, inputs, options, sets)
    cost = None
    if trained is not None:
        progress("telling what rounding costs")
        cost = trained.cost(compiled.plan, stamped, {} if twin is None else {TWIN: twin})
    return Conversion(
        model_bytes=stamped,
        compiled=compiled,
        network=network,
        agreement=agreement,
        tuned=tuned,
        calibration=calibration,
        computes=computes,
        integers=integers,
        held=held,
        cost=cost,
        dense_twin=twin,
    )


def _calibrated(
    prepared: Prepared, calibrate: CalibrationOptions | None, progress: Progress
) -> tuple[Prepared, Calibration | None]:
    """Settle the integers of a network that has none yet and needs some."""
    options = prepared.options
    if options.precision == "fp32" or options.scales is not None:
        return prepared, None
    if calibrate is not None and options.pixels is not None:
        # Its proof begins at pixels, and what is wrong with them is to be said early.
        options.pixels.undone(next(calibrate.images.batches(IMAGES_COUNT)))
    progress("calibrating")
    return settle_scales(prepared, calibrate)


def _trained(
    module: nn.Module,
    example: Example,
    options: CompileOptions,
    data: InputSet | None,
    progress: Progress,
) -> Trained | None:
    """Run the network as it was trained, where a file in int8 is judged on real images."""
    if options.precision == "fp32" or data is None:
        return None
    progress("running the trained network")
    return Trained.of(module, example, options, [data])


def example_input(input_shape: tuple[int, int, int], batch: int = 1) -> Tensor:
    """Return zeros of shape ``(batch, *input_shape)``."""
    return torch.zeros(batch, *input_shape)


def stage_writer(folder: Path) -> Observer:
    """Return an observer that writes each stage to ``folder/NN_name.onnx``."""
    make_folder(folder)
    count = 0

    def observe(stage: Stage) -> None:
        nonlocal count
        path = folder / f"{count:02d}_{stage.name}.onnx"
        atomic.write_bytes(path, stage.model.SerializeToString(deterministic=True))
        count += 1

    return observe


def _announce(observe: Observer | None, progress: Progress) -> Observer:
    def announce(stage: Stage) -> None:
        progress(stage.name.replace("_", " "))
        if observe:
            observe(stage)

    return announce

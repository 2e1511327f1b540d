"""Convert: freeze, compile, hold the invariants, prove parity, stamp, write."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from legoexport.compile.example import Example, checked_example, input_names, integer_ranges
from legoexport.compile.freeze import FrozenNetwork, freeze
from legoexport.compile.pipeline import choose_plan, lower, prepare
from legoexport.compile.stages import Compiled, CompileOptions, Observer, Prepared, Stage
from legoexport.compile.stamp import stamp
from legoexport.deliver import invariants
from legoexport.deliver.integer_invariants import Computes, check_integers
from legoexport.deliver.prove import measure_outputs, prove, prove_integers, rounding_growth
from legoexport.host import atomic
from legoexport.host.progress import Progress
from legoexport.host.staging import make_folder
from legoexport.lego.normalization import Normalization
from legoexport.models.dense_twin import expand_lego
from legoexport.models.round_weights import round_weights
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.inputs import InputSet
from legoexport.parity.integer.check import IntegerAgreement
from legoexport.parity.judge_outputs import input_sets
from legoexport.parity.store_cost import StoreCost, store_cost
from legoexport.quantize.calibrate import Calibration
from legoexport.quantize.cost import Int8Cost, int8_cost
from legoexport.quantize.float_network import prepare_trained
from legoexport.quantize.scores_cost import TrainedScores
from legoexport.quantize.settle import CalibrationOptions, calibration_record, settle_scales
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
        cost: What rounding the weights costs, if the file stores them in fewer bits.
        calibration: Where its integers come from, if it computes in int8.
        computes: What ONNX Runtime computes in integers, if it does.
        integers: How its layers compare with an independent implementation, if it does.
        int8_cost: What int8 costs, if it does.
    """

    model_bytes: bytes
    compiled: Compiled
    network: FrozenNetwork
    agreement: Agreement
    tuned: Tuned | None = None
    cost: StoreCost | None = None
    calibration: Calibration | None = None
    computes: Computes | None = None
    integers: tuple[IntegerAgreement, ...] = ()
    int8_cost: Int8Cost | None = None

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
        observe: Called with a snapshot of the model after each stage.
        progress: Called with the name of each step before it starts.

    Raises:
        UsageError: The network cannot be expressed, or the plan does not fit it.
        InvariantBroken: The file breaks a promise.
        ParityFailed: The file does not compute what PyTorch computes.
    """
    options = options or CompileOptions()
    inputs = checked_example(example)
    trained, module = module, round_weights(module, options.final_store)
    progress("freezing masks")
    network = freeze(module, inputs)
    announce = _announce(observe, progress)
    prepared = prepare(network, inputs, options, announce)
    calibration = None
    if options.precision == "int8" and options.scales is None:
        progress("calibrating")
        prepared, calibration = settle_scales(prepared, calibrate)
    tuned = tune(prepared, tuning, progress) if tuning else None
    compiled = lower(prepared, tuned.plan if tuned else choose_plan(prepared), announce)
    progress("holding invariants")
    unstamped = compiled.model.SerializeToString(deterministic=True)
    computes = _hold_invariants(compiled, unstamped, prepared)
    progress("proving parity")
    ranges = integer_ranges(input_names(network.module, inputs), inputs)
    if calibrate is None or compiled.scales is None:
        agreement = prove(module, unstamped, ranges, rounding_growth(compiled))
    else:
        agreement = measure_outputs(module, unstamped, calibrate.images)
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
    names_bytes = len(json.dumps(class_names))
    invariants.check_size(len(stamped), compiled, max_size_bytes, names_bytes=names_bytes)
    integers = prove_integers(compiled, stamped, calibrate)
    cost = None
    if options.precision == "fp32" and options.store != "fp32":
        progress("telling what rounding costs")
        sets = input_sets(RuntimeModel(unstamped, 1), data, ranges)
        cost = store_cost(trained, module, sets)
    bill = None
    if options.precision == "int8" and data is not None:
        progress("telling what int8 costs")
        graph = prepare_trained(trained, example, options)
        scores = TrainedScores(trained, [data], 1)
        bill = int8_cost(graph, compiled, data.arrays, scores, {"this file": stamped})
    return Conversion(
        model_bytes=stamped,
        compiled=compiled,
        network=network,
        agreement=agreement,
        tuned=tuned,
        cost=cost,
        calibration=calibration,
        computes=computes,
        integers=integers,
        int8_cost=bill,
    )


def _hold_invariants(compiled: Compiled, model_bytes: bytes, prepared: Prepared) -> Computes | None:
    target = prepared.options.target
    invariants.check_operators(compiled.model, target, prepared.homes)
    invariants.check_banks_stored_once(compiled)
    invariants.check_loads(model_bytes)
    if compiled.scales is None:
        return None
    return check_integers(compiled, model_bytes, target.activations)


def convert_dense_twin(
    module: nn.Module,
    example: Example,
    options: CompileOptions,
    calibrate: CalibrationOptions | None = None,
) -> bytes:
    """Compile the dense network that computes the same function: the yardstick for speed and size.

    Every Lego layer becomes an ordinary convolution with the assembled weight; the same passes run.
    If the file computes in int8, so does its twin, calibrated with the same images.
    """
    dense = _dense(module, options)
    network = FrozenNetwork(dense, layers={}, audits=(), agreement=0.0)
    # A twin in float computes with the weights that the file stores, and stores them whole.
    whole = replace(options, plan=None, store="fp32", scales=None)
    prepared = prepare(network, checked_example(example), whole)
    if options.precision == "int8":
        prepared, _ = settle_scales(prepared, calibrate)
    compiled = lower(prepared, choose_plan(prepared))
    return bytes(compiled.model.SerializeToString(deterministic=True))


def _dense(module: nn.Module, options: CompileOptions) -> nn.Module:
    """Assemble the weights: those that the file stores or, for integers, those of the training."""
    if options.precision == "fp32":
        return expand_lego(round_weights(module, options.store)).eval()
    return round_weights(expand_lego(module).eval(), options.final_store)


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

"""Convert: freeze, compile, hold the invariants, prove parity, stamp, write."""

from __future__ import annotations

from torch import nn

from legoexport.compile.example import Example, checked_example
from legoexport.compile.pipeline import lower
from legoexport.compile.stages import CompileOptions, Observer, Stage
from legoexport.deliver.conversion import Conversion
from legoexport.deliver.dense_twin import convert_dense_twin
from legoexport.deliver.finished import finish
from legoexport.deliver.judged import cost_of_rounding, run_for_integers, run_for_stored
from legoexport.deliver.planned import settle_plan
from legoexport.deliver.proved import prove
from legoexport.deliver.ready import make_ready
from legoexport.deliver.request import ConversionRequest, Origin
from legoexport.host.progress import Progress
from legoexport.lego.normalization import Normalization
from legoexport.parity.inputs import InputSet
from legoexport.quantize.revert import drop_limit
from legoexport.quantize.settle import CalibrationOptions
from legoexport.tune import TuneOptions

__all__ = ["Conversion", "convert_module"]


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
    request = ConversionRequest(
        module=module,
        max_drop_points=drop_limit(options, max_drop_points, has_images=data is not None),
        inputs=checked_example(example),
        options=options,
        origin=Origin(checkpoint_sha256, options.pixels or normalization, class_names),
        calibrate=calibrate,
        images=data,
        tuning=tuning,
        max_size_bytes=max_size_bytes,
        dense_twin=dense_twin,
    )
    return _carried_out(request, _announce(observe, progress), progress)


def _carried_out(request: ConversionRequest, announce: Observer, progress: Progress) -> Conversion:
    ready = make_ready(request, announce, progress)
    trained = run_for_integers(request, progress)
    planned = settle_plan(request, ready.prepared, trained, progress)
    proved = prove(request, ready, lower(ready.prepared, planned.plan, announce), progress)
    finished = finish(request, ready, proved)
    twin = _dense_twin(request, progress)
    trained = trained or run_for_stored(request, proved, progress)
    cost = cost_of_rounding(trained, planned.plan, finished.model_bytes, twin, progress)
    return Conversion(
        model_bytes=finished.model_bytes,
        compiled=proved.compiled,
        network=ready.network,
        agreement=proved.agreement,
        float_agreement=proved.float_agreement,
        tuned=planned.tuned,
        calibration=ready.calibration,
        computes=proved.computes,
        integers=finished.integers,
        held=planned.held,
        cost=cost,
        dense_twin=twin,
    )


def _dense_twin(request: ConversionRequest, progress: Progress) -> bytes | None:
    if not request.dense_twin:
        return None
    progress("building the dense twin")
    return convert_dense_twin(request.module, request.inputs, request.options, request.calibrate)


def _announce(observe: Observer | None, progress: Progress) -> Observer:
    """Let ``progress`` name each stage, too."""

    def announce(stage: Stage) -> None:
        progress(stage.name.replace("_", " "))
        if observe:
            observe(stage)

    return announce

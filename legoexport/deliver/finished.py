"""Finish a proved file: stamp it, hold it to its size, and prove the integers that it computes."""

from __future__ import annotations

from dataclasses import dataclass

from legoexport.compile.stamp import stamp
from legoexport.deliver import invariants
from legoexport.deliver.prove import prove_integers
from legoexport.deliver.proved import Proved
from legoexport.deliver.ready import Ready
from legoexport.deliver.request import ConversionRequest
from legoexport.parity.integer.walk_file import Walked
from legoexport.quantize.calibrate import Calibration
from legoexport.quantize.settle import calibration_record


@dataclass(frozen=True)
class Finished:
    """A file as it is written.

    Attributes:
        model_bytes: The file, with its provenance.
        integers: How all its integers compare with an independent implementation, if it has any.
    """

    model_bytes: bytes
    integers: Walked | None


def finish(request: ConversionRequest, ready: Ready, proved: Proved) -> Finished:
    """Give a file its provenance, and check what only the finished file shows.

    Raises:
        InvariantBroken: It is larger than it may be.
        ParityFailed: It computes an integer that is not right.
    """
    model_bytes = _stamped(request, ready.calibration, proved)
    compiled, class_names = proved.compiled, request.origin.class_names
    invariants.check_size(len(model_bytes), compiled, request.max_size_bytes, class_names)
    integers = prove_integers(compiled, ready.prepared, model_bytes, request.calibrate)
    return Finished(model_bytes, integers)


def _stamped(request: ConversionRequest, calibration: Calibration | None, proved: Proved) -> bytes:
    origin, options = request.origin, request.options
    model = stamp(
        proved.compiled,
        checkpoint_sha256=origin.checkpoint_sha256,
        cost_model_sha256=options.cost_model_sha256,
        target=options.target.name,
        relative_error=proved.agreement.relative_error,
        normalization=origin.normalization,
        class_names=origin.class_names,
        integer_ranges=proved.integer_ranges,
        calibration=None if calibration is None else calibration_record(calibration),
    )
    return bytes(model.SerializeToString(deterministic=True))

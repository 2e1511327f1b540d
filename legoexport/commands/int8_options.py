"""The options of ``legoexport convert`` that concern int8: from text to checked values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from legoexport.commands.picture_options import SOURCES
from legoexport.errors import UsageError

if TYPE_CHECKING:
    from legoexport.compile.stages import CompileOptions
    from legoexport.lego.normalization import Normalization
    from legoexport.lego.scales import Precision
    from legoexport.parity.inputs import InputSet
    from legoexport.quantize.calibrators import Method
    from legoexport.quantize.settle import CalibrationOptions
    from legoexport.target import Target


def check_precision(
    precision: Precision, data: Path | None, target: Target, *, as_ort: bool
) -> None:
    """Hold ``--precision int8`` against what it needs and what it does not go with.

    Raises:
        UsageError: Real images are missing, or the file would be in ORT format where it
            cannot be proved.
    """
    if precision == "fp32":
        return
    if data is None:
        raise UsageError(
            "--precision int8 needs real images to calibrate with",
            received="no --data",
            legal=SOURCES,
            next_step="name some hundred images: where nothing tells training and test apart, half"
            " of them calibrate",
        )
    if as_ort and not target.fuses_offline:
        # ONNX Runtime here runs such a file in float, so its integers cannot be proved.
        raise UsageError(
            f"ORT format for target {target.name} leaves fusing to a provider that is not here, so"
            " that its integers cannot be proved",
            received="--precision int8 with .ort",
            legal="--out with .onnx, or a target with ONNX Runtime's own kernels: cpu, arm64, web",
            next_step="ship the ONNX file, which the provider takes whole",
        )


def check_max_drop(max_drop: float | None, precision: Precision) -> None:
    """Hold ``--max-drop`` against what it limits.

    Raises:
        UsageError: It is no number of percentage points, or nothing would lose accuracy.
    """
    if max_drop is None:
        return
    from legoexport.passes.plan import checked_points

    checked_points(max_drop, "--max-drop")
    if precision == "fp32":
        raise UsageError(
            "--max-drop limits what int8 loses",
            received="--precision fp32",
            next_step="add --precision int8, or leave --max-drop out",
        )


def images(
    data: Path | None,
    input_shape: tuple[int, int, int] | None,
    fixed_batch_size: int | None,
    normalization: Normalization | None,
    options: CompileOptions,
    method: Method,
) -> tuple[CalibrationOptions | None, InputSet | None]:
    """Read the images of ``--data``: to calibrate with, and to tell what fewer bits cost on.

    Raises:
        UsageError: They are unreadable, do not fit the network, or are too few.
    """
    from legoexport.parity.pictures import read_inputs
    from legoexport.quantize.images import divide
    from legoexport.quantize.settle import CalibrationOptions

    if data is None or input_shape is None:
        return None, None
    if options.precision == "fp32":
        return None, read_inputs(data, input_shape, fixed_batch_size, normalization)
    divided = divide(data, input_shape, fixed_batch_size, normalization)
    return CalibrationOptions(divided.calibration, method), divided.judging

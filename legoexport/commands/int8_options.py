"""The options of ``legoexport convert`` that concern int8: from text to checked values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from legoexport.errors import UsageError

if TYPE_CHECKING:
    from legoexport.compile.stages import CompileOptions
    from legoexport.lego.normalization import Normalization
    from legoexport.lego.scales import Precision
    from legoexport.parity.inputs import InputSet
    from legoexport.quantize.calibrators import Method
    from legoexport.quantize.settle import CalibrationOptions


def check_precision(precision: Precision, data: Path | None, *, tune: bool, as_ort: bool) -> None:
    """Hold ``--precision int8`` against what it needs and what it does not go with.

    Raises:
        UsageError: Real images are missing, or the file would be tuned or in ORT format.
    """
    if precision == "fp32":
        return
    if data is None:
        raise UsageError(
            "--precision int8 needs real images to calibrate with",
            received="no --data",
            legal=".npy of images (N, c, h, w), or .npz with images and, if known, labels (N,)",
            next_step="name some hundred images, prepared as for training: half of them calibrate",
        )
    if as_ort:
        raise UsageError(
            "ORT format folds codes back into whole weights",
            received="--precision int8",
            legal="--out with .onnx",
        )
    if tune:
        raise UsageError(
            "--tune measures lowerings in float only",
            received="--precision int8",
            next_step="leave --tune out, or try lowerings with --prefer and bench",
        )


def images(
    data: Path | None,
    input_shape: tuple[int, int, int],
    fixed_batch_size: int | None,
    normalization: Normalization | None,
    options: CompileOptions,
    method: Method,
) -> tuple[CalibrationOptions | None, InputSet | None]:
    """Read the images of ``--data``: to calibrate with, and to tell what fewer bits cost on.

    Raises:
        UsageError: The file is unreadable, does not fit the network, or holds too few.
    """
    from legoexport.parity.pictures import read_inputs
    from legoexport.quantize.images import split_images
    from legoexport.quantize.settle import CalibrationOptions

    if data is None:
        return None, None
    given = read_inputs(data, input_shape, None, normalization)
    if options.precision == "fp32":
        return None, given
    calibrating, judging = split_images(given, fixed_batch_size)
    return CalibrationOptions(calibrating, method), judging

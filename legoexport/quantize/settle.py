"""Settle the integers of a network: calibrate it, and hand it on with its scales."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.errors import UsageError
from legoexport.lego.pixel_integers import affine_of_pixels
from legoexport.lego.scales import Scales
from legoexport.passes.take_pixels import NORMALIZED
from legoexport.quantize.calibrate import Calibration, ImageSet, calibrate_halves
from legoexport.quantize.calibrators import DEFAULT_METHOD, Method
from legoexport.quantize.ranges import network_scales


@dataclass(frozen=True)
class CalibrationOptions:
    """What to calibrate with.

    Attributes:
        images: Real images, prepared as for training.
        method: How ranges follow from the values that were seen.
        threads: Threads of ONNX Runtime.
    """

    images: ImageSet
    method: Method = DEFAULT_METHOD
    threads: int = 1


def settle_scales(
    prepared: Prepared, options: CalibrationOptions | None
) -> tuple[Prepared, Calibration]:
    """Calibrate a network and return it with its scales.

    Raises:
        UsageError: There are no images, or they do not fit the network.
    """
    if options is None:
        raise UsageError(
            "int8 needs real images to calibrate with; random ones would give wrong ranges",
            received="no images",
            legal="images (N, c, h, w) prepared as for training; --data with .npy or .npz",
            next_step="name some hundred images like those of the training",
        )
    calibration = calibrate_halves(prepared, options.images, options.method, options.threads)
    activations = prepared.options.target.activations
    scales = network_scales(prepared, calibration.ranges, activations)
    return prepared.with_scales(_of_pixels(scales, prepared.options)), calibration


def _of_pixels(scales: Scales, options: CompileOptions) -> Scales:
    """Take pixels themselves for the integers of the input, if they can be."""
    if options.pixels is None or NORMALIZED not in scales.activations:
        return scales
    affine = affine_of_pixels(options.pixels, options.target.activations)
    own = {} if affine is None else {NORMALIZED: affine}
    return replace(scales, activations={**scales.activations, **own})


def calibration_record(calibration: Calibration) -> str:
    """Return what a file says of its calibration, as JSON."""
    ratio = calibration.worst_half_difference_ratio
    return json.dumps(
        {
            "method": calibration.method,
            "images_count": calibration.images_count,
            "images_sha256": calibration.sha256,
            "worst_half_difference_ratio": float(f"{ratio:.3g}"),
        }
    )

"""Make a network ready for its plan: round its weights, freeze its masks, settle its integers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from legoexport.compile.freeze import FrozenNetwork, freeze
from legoexport.compile.pipeline import prepare
from legoexport.compile.stages import Observer, Prepared
from legoexport.deliver.prove import IMAGES_COUNT
from legoexport.deliver.request import ConversionRequest
from legoexport.host.progress import Progress
from legoexport.models.round_weights import round_weights
from legoexport.quantize.calibrate import Calibration
from legoexport.quantize.settle import settle_scales


@dataclass(frozen=True)
class Ready:
    """A network that lacks only its plan.

    Attributes:
        rounded: The live network with the weights that the file holds, which its outputs are held
            to.
        network: That network with its masks frozen.
        prepared: Its graph, up to where lowerings are chosen.
        calibration: Where its integers come from, if they had to be found.
    """

    rounded: nn.Module
    network: FrozenNetwork
    prepared: Prepared
    calibration: Calibration | None


def make_ready(request: ConversionRequest, observe: Observer, progress: Progress) -> Ready:
    """Round, freeze, prepare and, where the file is to compute in int8, calibrate a network.

    Raises:
        UsageError: The network cannot be expressed, or there is nothing to calibrate it with.
        CheckFailed: The frozen network does not compute what the live one computes.
    """
    rounded = round_weights(request.module, request.options.final_store)
    progress("freezing masks")
    network = freeze(rounded, request.inputs)
    prepared = prepare(network, request.inputs, request.options, observe)
    if not _lacks_scales(prepared):
        return Ready(rounded, network, prepared, None)
    _check_pixels(request)
    progress("calibrating")
    return Ready(rounded, network, *settle_scales(prepared, request.calibrate))


def _lacks_scales(prepared: Prepared) -> bool:
    return prepared.options.precision == "int8" and prepared.integers is None


def _check_pixels(request: ConversionRequest) -> None:
    """Say early what is wrong with the pixels that the proof of the integers begins at."""
    calibrate, pixels = request.calibrate, request.options.pixels
    if calibrate is not None and pixels is not None:
        pixels.undone(next(calibrate.images.batches(IMAGES_COUNT)))

"""What rounding costs a file that was converted before: its settings are read from the file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from legoexport.compile.stamp import read_stamp
from legoexport.errors import UsageError
from legoexport.lego.normalization import Normalization
from legoexport.parity.inputs import InputSet
from legoexport.parity.opened import OpenedModel
from legoexport.parity.pictures import RealImages, open_images
from legoexport.parity.rebuild import compile_options
from legoexport.passes.plan import Plan
from legoexport.quantize.cost import RoundingCost
from legoexport.quantize.images import divide_images
from legoexport.quantize.trained import Trained


def is_rounded(opened: OpenedModel) -> bool:
    """Whether a file computes in int8, or stores its weights in fewer bits."""
    facts = opened.facts
    return bool(read_stamp(opened.model)) and (facts.precision, facts.store) != ("fp32", "fp32")


def file_cost(
    trained: nn.Module, opened: OpenedModel, images: InputSet, others: Mapping[str, bytes]
) -> RoundingCost:
    """Measure a converted file against the network that was trained.

    Args:
        trained: The network as it was trained, in any mode; it is left as it is.
        opened: The file.
        images: Real images to judge on, as ``judging_images`` gives them.
        others: Files to compare it with, such as its dense twin, by what they are.

    Raises:
        UsageError: The metadata of the file is damaged, or does not fit the network.
    """
    options = compile_options(opened)
    network = Trained.of(trained, opened.example(), options, [images], opened.threads)
    return network.cost(options.plan or Plan({}), opened.model_bytes, others)


def judging_images(
    data: str | Path,
    opened: OpenedModel,
    normalization: Normalization | None,
    read: RealImages | None = None,
) -> InputSet:
    """Read the images that tell what rounding costs, prepared as for training.

    If some of ``data`` calibrated the file, the others are taken, as ``convert`` took them.

    Args:
        data: As ``open_images`` takes it.
        opened: The file.
        normalization: Of the pictures in training, or None if nobody knows.
        read: The images of ``data`` as they were read to judge the file, to read them once; a
            file that scales pictures itself is judged on others than its network.

    Raises:
        UsageError: As ``read_images`` has it.
    """
    normalization = opened.pixels or normalization
    size = opened.runtime.fixed_batch_size
    images = read
    if images is None or images.judging.image_shape != opened.network_shape:
        images = open_images(data, opened.network_shape, normalization)
    recorded = _calibrated_on(opened)
    if recorded is not None:
        try:
            divided = divide_images(images, size)
        except UsageError:  # Too few to be divided: they did not calibrate it.
            return images.judging.inputs(size)
        if divided.calibration.sha256 == recorded:
            return divided.judging
    return images.judging.inputs(size)


def _calibrated_on(opened: OpenedModel) -> str | None:
    """Return the digest of the images that calibrated a file, if any did."""
    record = read_stamp(opened.model).get("calibration")
    return None if record is None else str(json.loads(record)["images_sha256"])

"""What rounding costs, for ``legoexport verify``: the report that ``convert`` prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from legoexport.commands.picture_options import picture_normalization
from legoexport.errors import UsageError
from legoexport.host.reading import read_bytes

if TYPE_CHECKING:
    from legoexport.host.progress import Progress
    from legoexport.models.checkpoint import Checkpoint
    from legoexport.parity.inputs import InputSet
    from legoexport.parity.opened import OpenedModel
    from legoexport.parity.pictures import ReadImages
    from legoexport.quantize.cost import RoundingCost


def check_twin(dense_twin: Path | None, data: Path | None) -> None:
    """Hold ``--dense-twin`` against what it is compared by.

    Raises:
        UsageError: There are no images to compare it on.
    """
    if dense_twin is not None and data is None:
        raise UsageError(
            "--dense-twin is shown beside the file in what rounding costs on real images",
            received="no --data",
            next_step="add --data, or leave --dense-twin out",
        )


def cost_of(
    checkpoint: Checkpoint,
    opened: OpenedModel,
    images: InputSet | None,
    dense_twin: Path | None,
    progress: Progress,
) -> RoundingCost | None:
    """Return what rounding costs a file; None without images to tell it.

    Args:
        checkpoint: The network as it was trained.
        opened: The file, proved already.
        images: As ``images_to_judge`` gives them.
        dense_twin: The same function as a dense network, to show beside it.
        progress: Called with the name of the step before it starts.

    Raises:
        UsageError: The twin cannot be read, or does not fit.
    """
    from legoexport.quantize.file_cost import file_cost
    from legoexport.quantize.trained import TWIN

    if images is None:
        return None
    progress("telling what rounding costs")
    others = {} if dense_twin is None else {TWIN: read_bytes(dense_twin)}
    return file_cost(checkpoint.module, opened, images, others)


def images_to_judge(
    data: Path | None, checkpoint: Checkpoint, opened: OpenedModel, read: ReadImages | None
) -> InputSet | None:
    """Return the images of ``--data`` that tell what rounding costs a file.

    Args:
        data: What was given.
        checkpoint: The network as it was trained.
        opened: The file.
        read: The images of ``data`` that the file is judged on, to read them once.

    Returns:
        Those that did not calibrate the file; None without ``--data``, or if nothing is rounded.

    Raises:
        UsageError: They cannot be read, or do not fit.
    """
    from legoexport.quantize.file_cost import is_rounded, judging_images

    if data is None or not is_rounded(opened):
        return None
    normalization = picture_normalization(checkpoint)
    return judging_images(data, opened, normalization, read.source if read else None)

"""A trained dense network whose scores a training learns from, beside the labels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from legoexport.errors import UsageError
from legoexport.models.checkpoint import Checkpoint, read_checkpoint
from legoexport.training.data.images import ImageData
from legoexport.training.precision import Precision

# Statistics of the same pictures, counted and rounded elsewhere.
NORMALIZATION_TOLERANCE = 1e-4


class Teacher:
    """A network in eval mode that is never changed.

    Args:
        module: The network, on the device of the training.
        precision: The numbers that it computes in.
        sha256: Digest of its checkpoint.
    """

    def __init__(self, module: nn.Module, precision: Precision, sha256: str) -> None:
        self.module = module.eval().requires_grad_(requires_grad=False)
        self.precision, self.sha256 = precision, sha256
        precision.place(self.module)

    @torch.no_grad()
    def scores(self, images: Tensor) -> Tensor:
        """Return float32 scores ``(b, classes)`` of images in the layout of the precision."""
        return self.precision.scores(self.module, images)


def find_teacher(path: Path | None, data: ImageData, precision: Precision) -> Teacher | None:
    """Read the dense network to learn from; None if there is none.

    Args:
        path: Its checkpoint.
        data: The pictures of the training, on its device.
        precision: The numbers that the training computes in.

    Raises:
        CheckpointError: The file cannot be read.
        UsageError: It takes other pictures, or tells other classes apart.
    """
    if path is None:
        return None
    found = read_checkpoint(path, dense=True)
    _hold(path, found, data)
    module = found.module.to(data.train_images.device)
    return Teacher(module, precision, found.sha256)


def _hold(path: Path, found: Checkpoint, data: ImageData) -> None:
    if found.input_shape != data.input_shape:
        raise UsageError(
            f"{path}: the teacher takes other pictures than those to train on",
            received=found.input_shape,
            legal=data.input_shape,
        )
    classes = found.hyperparameters.get("classes", data.class_count)
    if classes != data.class_count:
        raise UsageError(
            f"{path}: the teacher tells other classes apart",
            received=f"{classes} classes",
            legal=data.class_count,
        )
    _hold_normalization(path, found, data)


def _hold_normalization(path: Path, found: Checkpoint, data: ImageData) -> None:
    """The same picture must look the same to both."""
    told = found.normalization
    if told is None or data.train_images.is_floating_point():
        return
    told_mean, told_std = told.grey_levels
    theirs, ours = (*told_mean, *told_std), (*data.mean, *data.std)
    if any(
        abs(a - b) > NORMALIZATION_TOLERANCE * abs(b) for a, b in zip(theirs, ours, strict=True)
    ):
        raise UsageError(
            f"{path}: the teacher was trained on pictures of another mean and deviation",
            received=f"mean {told_mean}, std {told_std} grey levels",
            legal=f"mean {data.mean}, std {data.std}",
            next_step="train it on the same --data",
        )

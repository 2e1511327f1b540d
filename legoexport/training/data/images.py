"""Labelled pictures in memory, as every source gives them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from legoexport.errors import UsageError

FEWEST_CLASSES = 2


@dataclass(frozen=True)
class ImageData:
    """Pictures and their classes, for training and held out.

    Attributes:
        train_images: ``(N, c, h, w)``; uint8 as decoded, or floating and normalised already.
        train_labels: ``(N,)`` int64.
        test_images: Held out from training, ``(M, c, h, w)``.
        test_labels: ``(M,)`` int64.
        class_names: Names in the order of the labels, if the source has them.

    Raises:
        UsageError: No pictures, fewer than two classes, or parts that do not fit together.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shapes = [tuple(images.shape[1:]) for images in (self.train_images, self.test_images)]
        if shapes[0] != shapes[1] or len(shapes[0]) != 3:  # noqa: PLR2004 - c, h, w
            raise UsageError("training and test pictures differ in size", received=shapes)
        for part, images, labels in self._parts():
            if len(images) == 0 or len(images) != len(labels):
                raise UsageError(
                    f"{part} pictures and labels",
                    received=f"{len(images)} and {len(labels)}",
                    legal="the same number of each, at least one",
                )
            if not 0 <= int(labels.min()) <= int(labels.max()) < self.class_count:
                raise UsageError(
                    f"{part} labels",
                    received=f"{int(labels.min())} to {int(labels.max())}",
                    legal=f"classes that are trained on, 0 to {self.class_count - 1}",
                )

    def _parts(self) -> tuple[tuple[str, Tensor, Tensor], ...]:
        return (
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        )

    @property
    def class_count(self) -> int:
        """Number of classes, counted from the training labels if the classes have no names."""
        return len(self.class_names) or int(self.train_labels.max()) + 1

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(c, h, w)`` of a picture."""
        channels, height, width = self.train_images.shape[1:]
        return channels, height, width

    @cached_property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel over the training pictures, in grey levels; zeros if normalised."""
        return self._statistics[0]

    @cached_property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel, in grey levels; ones if normalised already."""
        return self._statistics[1]

    @cached_property
    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        channels = self.train_images.shape[1]
        if self.train_images.is_floating_point():
            return (0.0,) * channels, (1.0,) * channels
        means, deviations = [], []
        for channel in self.train_images.unbind(1):
            # A count of each grey level: exact, and no copy of the pictures in floating point.
            levels = torch.bincount(channel.flatten().to(torch.int32), minlength=256)
            counts, grey = levels.cpu().double(), torch.arange(256, dtype=torch.float64)
            share = counts / counts.sum()
            mean = (share * grey).sum()
            means.append(float(mean))
            deviations.append(float((share * (grey - mean).square()).sum().sqrt()) or 1.0)
        return tuple(means), tuple(deviations)

    @cached_property
    def _scale(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation ``(1, c, 1, 1)``, where the pictures are."""
        device = self.train_images.device
        mean, std = (
            torch.tensor(each, device=device).reshape(1, -1, 1, 1) for each in (self.mean, self.std)
        )
        return mean, std

    def normalised(self, images: Tensor) -> Tensor:
        """Return pictures as a network sees them: float32, each channel with mean 0 and std 1."""
        if images.is_floating_point():
            return images
        mean, std = (each.to(images.device) for each in self._scale)
        return (images.float() - mean) / std

    def to(self, device: torch.device) -> ImageData:
        """Return the same pictures on a device."""
        moved = {
            name: getattr(self, name).to(device)
            for name in ("train_images", "train_labels", "test_images", "test_labels")
        }
        return replace(self, **moved)

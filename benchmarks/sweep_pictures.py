"""Pictures for sweeps on a small budget: hard enough that the networks differ.

    python -m benchmarks.sweep_pictures digits few_digits.npz
    python -m benchmarks.sweep_pictures cifar10-jpeg.zip small_cifar.npz

The digits are turned around: 360 to train on, 1,437 held out. Of CIFAR-10, 4,000 pictures to train
on and 2,000 held out, grey and reduced to 12x12 pixels, which lego_digits takes.
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from legoexport.training.data.images import ImageData
from legoexport.training.data.source import DIGITS, load

SIZE_PIXELS = 12
TRAIN_COUNT = 4000
TEST_COUNT = 2000


def main() -> None:
    """Write the archive that the arguments ask for."""
    source, out = sys.argv[1:]
    if source == DIGITS:
        data = load(source, channels=1).data
        pictures = ImageData(
            *(data.test_images, data.test_labels, data.train_images, data.train_labels)
        )
    else:
        data = load(source, channels=1, size=SIZE_PIXELS).data
        pictures = ImageData(
            *_some(data.train_images, data.train_labels, TRAIN_COUNT),
            *_some(data.test_images, data.test_labels, TEST_COUNT),
        )
    arrays = {
        name: getattr(pictures, name).numpy()
        for name in ("train_images", "train_labels", "test_images", "test_labels")
    }
    np.savez(out, **arrays)


def _some(
    images: torch.Tensor, labels: torch.Tensor, count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:count]
    return images[order], labels[order]


if __name__ == "__main__":
    main()

"""scikit-learn's handwritten digits: 1,797 real 8x8 images that ship with a package."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from legoexport.training.data.images import ImageData

TEST_COUNT = 360
SPLIT_SEED = 0
GREY_LEVELS = 16.0


def load() -> ImageData:
    """Return the digits, 1,437 to train and 360 held out, each class in its share.

    Pixels are scaled to [-1, 1].
    """
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / (GREY_LEVELS / 2) - 1
    labels = torch.tensor(digits.target, dtype=torch.int64)
    test = _stratified(digits.target)
    train = np.setdiff1d(np.arange(len(labels)), test)
    return ImageData(images[train], labels[train], images[test], labels[test])


def _stratified(labels: np.ndarray) -> np.ndarray:
    """Draw ``TEST_COUNT`` images so that every class keeps its share."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    return np.sort(by_class[np.linspace(0, len(labels) - 1, TEST_COUNT).round().astype(int)])

"""The digits: every image once, split as documented."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from legoexport.training.data import digits


def test_every_image_is_there_once_with_its_label() -> None:
    data, source = digits.load(), load_digits()
    images = torch.cat([data.train_images, data.test_images]).double().numpy()
    labels = torch.cat([data.train_labels, data.test_labels]).numpy()
    pixels = ((images[:, 0] + 1) * 8).reshape(len(images), -1)
    ours = np.column_stack([pixels, labels])
    theirs = np.column_stack([source.data, source.target])
    assert np.array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


def test_shapes_types_and_range() -> None:
    data = digits.load()
    assert data.train_images.shape == (1437, 1, 8, 8)
    assert data.test_images.shape == (360, 1, 8, 8)
    assert data.train_images.dtype == torch.float32
    assert data.test_labels.dtype == torch.int64
    assert data.train_images.min() == -1
    assert data.train_images.max() == 1


def test_the_split_is_fixed_and_stratified() -> None:
    data, again = digits.load(), digits.load()
    assert torch.equal(data.test_images, again.test_images)
    held_out, trained = data.test_labels.bincount(), data.train_labels.bincount()
    share = held_out / (held_out + trained)
    # A fifth of about 180 images a class, to one image.
    assert (share - 360 / 1797).abs().max() < 1 / 174

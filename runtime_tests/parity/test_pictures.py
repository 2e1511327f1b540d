"""Pictures of every form become what the network takes."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from legoexport.errors import UsageError
from legoexport.lego.normalization import Normalization
from legoexport.models.checkpoint.training_facts import recorded_normalization
from legoexport.parity.image_series import shuffled
from legoexport.parity.pictures import open_images, read_inputs
from legoexport.training.data.source import load
from runtime_tests.parity.picture_files import (
    LABELS,
    NORMALIZATION,
    SHAPE,
    as_seen,
    write_labelled,
    write_plain,
    zipped,
)

# float32 keeps numbers below 4 to 2**-23 each; the difference is of two such.
ROUNDING = 1e-6
CIFAR_SHAPE = (3, 32, 32)


def source(folder: Path, form: str) -> Path:
    return zipped(folder, folder.with_suffix(".zip")) if form == "zip" else folder


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_labelled_pictures_are_judged_on_those_for_testing(tmp_path: Path, form: str) -> None:
    path = source(write_labelled(tmp_path / "in"), form)
    read = read_inputs(path, SHAPE, None, NORMALIZATION)
    assert read.name == f"test pictures of {path.name}"
    assert read.labels is not None
    assert tuple(read.labels) == LABELS["test"]
    assert read.images.dtype == np.float32
    assert np.abs(read.images - as_seen("test", 3)).max() < ROUNDING


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_pictures_without_classes_are_all_judged(tmp_path: Path, form: str) -> None:
    path = source(write_plain(tmp_path / "in", 5), form)
    read = read_inputs(path, SHAPE, 2, NORMALIZATION)
    assert read.labels is None
    assert len(read.images) == 4
    # In whatever order, but the same in every run.
    order = shuffled(5)[:4]
    assert np.abs(read.images - as_seen("plain", 5)[order]).max() < ROUNDING


def test_pictures_are_normalised_to_the_bit_as_in_training(tmp_path: Path) -> None:
    data = load(str(write_labelled(tmp_path))).data
    facts = {"mean": list(data.mean), "std": list(data.std)}
    read = read_inputs(tmp_path, SHAPE, None, recorded_normalization(facts))
    assert np.array_equal(read.images, data.normalised(data.test_images).numpy())


def test_pictures_of_other_sizes_are_scaled_and_cropped(tmp_path: Path) -> None:
    Image.new("L", (30, 20), 255).save(tmp_path / "large.png")
    read = read_inputs(tmp_path, SHAPE, None, NORMALIZATION)
    white = (1 - np.array(NORMALIZATION.mean)) / np.array(NORMALIZATION.std)
    assert read.images.shape == (1, *SHAPE)
    assert np.abs(read.images[0] - white[:, None, None]).max() < ROUNDING


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_cifar(tmp_path: Path, form: str) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "cifar"
    folder.mkdir()
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        records = rng.integers(0, 256, (4, 3073)).astype(np.uint8)
        records[:, 0] = [0, 1, 2, 3]
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    path = folder
    if form == "tar":
        path = tmp_path / "cifar.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(folder, "cifar")
    read = read_inputs(path, CIFAR_SHAPE, None, NORMALIZATION)
    test = records[:, 1:].reshape(-1, *CIFAR_SHAPE)
    assert np.array_equal(read.images, NORMALIZATION.applied(test))
    assert open_images(path, CIFAR_SHAPE, NORMALIZATION).training.count == 20
    with pytest.raises(UsageError, match="does not say"):
        read_inputs(path, CIFAR_SHAPE, None, None)
    with pytest.raises(UsageError, match="does not fit"):
        read_inputs(path, SHAPE, None, NORMALIZATION)


def test_digits_need_no_normalization() -> None:
    read = read_inputs("digits", (1, 8, 8), None, None)
    data = load("digits", channels=1).data
    assert np.array_equal(read.images, data.test_images.numpy())
    assert read.labels is not None
    assert torch.equal(torch.from_numpy(read.labels), data.test_labels)


@pytest.mark.parametrize("shape", [(1, 9, 9), (3, 8, 8)])
def test_digits_of_another_size_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError, match="digits"):
        read_inputs("digits", shape, None, None)


def test_the_arrays_of_training(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    training, test = (rng.integers(0, 256, (4, 6, 8, 3)).astype(np.uint8) for _ in range(2))
    labels = np.arange(4)
    np.savez(
        tmp_path / "a.npz",
        train_images=training,
        train_labels=labels,
        test_images=test,
        test_labels=labels,
    )
    read = read_inputs(tmp_path / "a.npz", SHAPE, None, NORMALIZATION)
    wanted = NORMALIZATION.applied(np.moveaxis(test, 3, 1))
    assert np.array_equal(read.images, wanted)


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_pictures_of_which_nobody_knows_the_normalization_are_refused(
    tmp_path: Path, form: str
) -> None:
    path = source(write_plain(tmp_path / "in", 2), form)
    with pytest.raises(UsageError, match="--mean and --std"):
        read_inputs(path, SHAPE, None, None)


def test_a_normalization_of_other_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="normalization does not fit"):
        read_inputs(write_plain(tmp_path, 2), SHAPE, None, Normalization((0.5,), (0.5,)))


@pytest.mark.parametrize("name", ["missing", "text.txt", "empty", "empty.zip", "pipe", "text.zip"])
def test_what_holds_no_images_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    zipped(tmp_path / "empty", tmp_path / "empty.zip")
    for text in ("text.txt", "text.zip"):
        (tmp_path / text).write_text("text")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=name):
        read_inputs(tmp_path / name, SHAPE, None, NORMALIZATION)


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_damaged_picture_is_named(tmp_path: Path, form: str) -> None:
    folder = write_plain(tmp_path / "in", 2)
    (folder / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"broken\.jpg"):
        read_inputs(source(folder, form), SHAPE, None, NORMALIZATION)

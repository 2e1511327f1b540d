"""Folders, zip archives and .npz files give the pictures that are in them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from legoexport.errors import UsageError
from legoexport.training.data.arrays import write_test_images
from legoexport.training.data.source import load

LABELS = {"train": [0, 0, 0, 1, 1], "test": [0, 1]}


def picture(part: str, index: int) -> np.ndarray:
    rng = np.random.default_rng([len(part), index])
    return rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)


def write_folder(folder: Path, test_name: str = "test") -> None:
    for part, labels in LABELS.items():
        for index, label in enumerate(labels):
            file = folder / (test_name if part == "test" else part) / "ab"[label] / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture(part, index)).save(file)


def zipped(folder: Path, path: Path, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in folder.rglob("*.*"):
            archive.write(file, f"top/{file.relative_to(folder)}")
    return path


def damage(path: Path) -> None:
    """Change what the decompressor of the first member reads."""
    content = bytearray(path.read_bytes())
    content[80:110] = bytes(byte ^ 0x55 for byte in content[80:110])
    path.write_bytes(content)


@pytest.mark.parametrize("test_name", ["test", "val"])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_pictures_by_folder(tmp_path: Path, form: str, test_name: str) -> None:
    write_folder(tmp_path / "in", test_name)
    (tmp_path / "in" / "README.txt").write_text("no picture")
    source = tmp_path / "in" if form == "folder" else zipped(tmp_path / "in", tmp_path / "p.zip")
    loaded = load(str(source))
    data = loaded.data
    assert loaded.images_per_second > 0
    for part, images, labels in (
        ("train", data.train_images, data.train_labels),
        ("test", data.test_images, data.test_labels),
    ):
        assert labels.tolist() == LABELS[part]
        wanted = np.stack([picture(part, i).transpose(2, 0, 1) for i in range(len(labels))])
        assert np.array_equal(images.numpy(), wanted)
    assert data.class_names == ("a", "b")


def test_pictures_where_the_system_knows_no_affinity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("os.sched_getaffinity", raising=False)  # as on macOS
    write_folder(tmp_path)
    assert len(load(str(tmp_path)).data.train_images) == len(LABELS["train"])


def test_grey_and_scaled(tmp_path: Path) -> None:
    write_folder(tmp_path)
    data = load(str(tmp_path), channels=1, size=4).data
    assert data.input_shape == (1, 4, 4)
    assert data.train_images.dtype == torch.uint8


def test_pictures_of_different_sizes_need_a_size(tmp_path: Path) -> None:
    write_folder(tmp_path)
    Image.new("RGB", (7, 6)).save(tmp_path / "train" / "b" / "9.png")
    with pytest.raises(UsageError, match="--image-size"):
        load(str(tmp_path))
    assert load(str(tmp_path), size=6).data.input_shape == (3, 6, 6)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n\x00\x00"])
def test_a_damaged_picture_is_named(tmp_path: Path, content: bytes) -> None:
    write_folder(tmp_path)
    (tmp_path / "test" / "a" / "broken.jpg").write_bytes(content)
    with pytest.raises(UsageError, match=r"broken\.jpg"):
        load(str(tmp_path))


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_a_picture_of_more_than_8_bits_is_not_cut_to_them(tmp_path: Path, dtype: type) -> None:
    write_folder(tmp_path)
    deep = Image.fromarray(np.full((6, 5), 40000, dtype))
    deep.save(tmp_path / "test" / "a" / "deep.jpg", "TIFF")
    with pytest.raises(UsageError, match=r"(?s)deep\.jpg has more than 8 bits.*received: .*mode"):
        load(str(tmp_path))


def test_a_damaged_archive_of_pictures_is_named(tmp_path: Path) -> None:
    write_folder(tmp_path / "p")
    path = zipped(tmp_path / "p", tmp_path / "p.zip", zipfile.ZIP_LZMA)
    damage(path)
    with pytest.raises(UsageError, match=r"p\.zip cannot be read"):
        load(str(path))


@pytest.mark.parametrize("name", ["missing", "file.txt", "empty.zip", "empty"])
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.txt").write_text("text")
    (tmp_path / "empty").mkdir()
    zipfile.ZipFile(tmp_path / "empty.zip", "w").close()
    with pytest.raises(UsageError, match=name):
        load(str(tmp_path / name))


def arrays(**changes: np.ndarray) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    good: dict[str, Any] = {
        "train_images": rng.integers(0, 256, (5, 4, 4, 3)).astype(np.uint8),
        "train_labels": np.array([0, 1, 2, 0, 1]),
        "test_images": rng.integers(0, 256, (2, 4, 4, 3)).astype(np.uint8),
        "test_labels": np.array([[2], [1]], np.int32),
    }
    return {**good, **changes}


@pytest.mark.parametrize("channels_first", [False, True])
def test_npz(tmp_path: Path, channels_first: bool) -> None:
    content = arrays()
    wanted = content["train_images"].transpose(0, 3, 1, 2)
    if channels_first:
        for name in ("train_images", "test_images"):
            content[name] = content[name].transpose(0, 3, 1, 2)
    np.savez_compressed(tmp_path / "p.npz", **content)
    data = load(str(tmp_path / "p.npz")).data
    assert np.array_equal(data.train_images.numpy(), wanted)
    assert data.test_labels.tolist() == [2, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"train_labels": np.array([0, 1, 2, 0])},
        {"train_labels": np.array([0, 1, 2, 0, -1])},
        {"test_labels": np.array([0, 3])},
        {"test_labels": np.array([0.0, 1.0])},
        {"test_images": np.zeros((2, 5, 5, 3), np.uint8)},
        {"train_images": np.zeros((5, 4, 4, 3), np.int64)},
        {"train_images": np.full((5, 3, 4, 4), np.nan)},
        {"train_images": np.array([object()] * 5)},
    ],
    ids="-".join,
)
def test_npz_that_does_not_fit(tmp_path: Path, changes: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "p.npz", **arrays(**changes))
    with pytest.raises(UsageError):
        load(str(tmp_path / "p.npz"))


def test_a_damaged_npz_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "stored.npz", **arrays())
    path = tmp_path / "p.npz"
    with (
        zipfile.ZipFile(tmp_path / "stored.npz") as stored,
        zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive,
    ):
        for name in stored.namelist():
            archive.writestr(name, stored.read(name))
    damage(path)
    with pytest.raises(UsageError, match=r"p\.npz cannot be read"):
        load(str(path))


def test_pictures_are_normalised_by_channel(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", **arrays())
    data = load(str(tmp_path / "p.npz")).data
    pixels = arrays()["train_images"].astype(np.float64).reshape(-1, 3)
    assert data.mean == pytest.approx(pixels.mean(0), rel=1e-12)
    assert data.std == pytest.approx(pixels.std(0), rel=1e-12)
    normal = data.normalised(data.train_images).double().numpy()
    # float32 numbers of about one.
    assert normal.mean((0, 2, 3)) == pytest.approx(np.zeros(3), abs=1e-6)
    assert normal.std((0, 2, 3)) == pytest.approx(np.ones(3), abs=1e-6)


def test_test_pictures_as_the_network_sees_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", **arrays())
    data = load(str(tmp_path / "p.npz")).data
    write_test_images(tmp_path / "seen.npz", data)
    with np.load(tmp_path / "seen.npz") as seen:
        assert np.array_equal(seen["images"], data.normalised(data.test_images).numpy())
        assert seen["labels"].tolist() == [2, 1]

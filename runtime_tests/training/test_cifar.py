"""CIFAR-10 as published gives the pictures that are in it; a hostile file gives an error."""

from __future__ import annotations

import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from legoexport.errors import UsageError
from legoexport.training.data.images import ImageData
from legoexport.training.data.source import load
from runtime_tests.training import cifar_files


class RunsCode:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.marker,)


def assert_right(data: ImageData) -> None:
    images, labels = cifar_files.pictures()
    found = np.concatenate([data.train_images.numpy(), data.test_images.numpy()])
    assert np.array_equal(found, images)
    assert [*data.train_labels.tolist(), *data.test_labels.tolist()] == labels
    assert len(data.test_labels) == cifar_files.PER_BATCH
    assert data.class_names[:2] == ("airplane", "automobile")


@pytest.mark.parametrize("write", [cifar_files.write_binary, cifar_files.write_pickles])
@pytest.mark.parametrize("form", ["folder", "parent", "tar", "tar.gz"])
def test_every_published_form(tmp_path: Path, write: Callable[[Path], None], form: str) -> None:
    folder = tmp_path / "all" / "cifar-10"
    folder.mkdir(parents=True)
    write(folder)
    sources = {"folder": folder, "parent": folder.parent}
    if form.startswith("tar"):
        sources[form] = tmp_path / f"cifar.{form}"
        with tarfile.open(sources[form], "w:gz" if form == "tar.gz" else "w") as archive:
            archive.add(folder, "cifar-10")
    assert_right(load(str(sources[form])).data)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_batches_pickled_again_by_python_3(tmp_path: Path, protocol: int) -> None:
    cifar_files.write_pickles(tmp_path)
    images, labels = cifar_files.pictures()
    again = {"data": images[:4].reshape(4, -1), "labels": labels[:4]}
    content = pickle.dumps(again, protocol=protocol)
    (tmp_path / "data_batch_1").write_bytes(content)
    if protocol < 5:
        assert_right(load(str(tmp_path)).data)
    else:  # arrays of protocol 5 are made another way, which no published file does
        with pytest.raises(UsageError, match="data_batch_1 is refused"):
            load(str(tmp_path))


def hostile(marker: Path) -> dict[str, bytes]:
    images, labels = cifar_files.pictures()
    batch = cifar_files.python_2_batch(images[:4].reshape(4, -1), labels[:4])
    return {
        "code": pickle.dumps({"data": RunsCode(marker), "labels": [1]}, protocol=2),
        "system": b"cposix\nsystem\n(U\x04trueutR.",
        "eval": b"c__builtin__\neval\n(U\x011tR.",
        "cut": batch[:-100],
        "empty": b"",
        "shape": batch.replace(b"M\x00\x0c", b"M\x01\x0c"),
        "type": batch.replace(b"U\x02u1", b"U\x02i8"),
        "label": pickle.dumps({"data": images[:1].reshape(1, -1), "labels": [10]}, protocol=2),
        "counts": pickle.dumps({"data": images[:4].reshape(4, -1), "labels": [1]}, protocol=2),
        "bomb": b"\x80\x02(U\xff" + b"x" * 255 + b"q\x00" + many_arrays() + b"l.",
    }


def many_arrays() -> bytes:
    """Arrays that all name the one string of 255 bytes."""
    array = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR"
    return b"".join(
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\xff\x85"
        + array
        + b"\x89h\x00tb"
        for _ in range(3000)
    )


@pytest.mark.parametrize("kind", hostile(Path()))
def test_hostile_batches_are_refused(tmp_path: Path, kind: str) -> None:
    cifar_files.write_pickles(tmp_path)
    marker = tmp_path / "code-ran"
    (tmp_path / "data_batch_3").write_bytes(hostile(marker)[kind])
    with pytest.raises(UsageError, match="data_batch_3"):
        load(str(tmp_path))
    assert not marker.exists()


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    cifar_files.write_binary(tmp_path)
    (tmp_path / "data_batch_4.bin").unlink()
    with pytest.raises(UsageError, match="data_batch_4"):
        load(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"\x00" * 3072, b"\x0a" + b"\x00" * 3072])
def test_damaged_records_are_refused(tmp_path: Path, content: bytes) -> None:
    cifar_files.write_binary(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(content)
    with pytest.raises(UsageError):
        load(str(tmp_path))

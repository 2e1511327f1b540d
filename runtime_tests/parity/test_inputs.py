"""Random inputs are the same every time and fit into memory; real ones are checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from legoexport.errors import UsageError
from legoexport.parity.inputs import random_inputs
from legoexport.parity.pictures import read_inputs

SHAPE = (3, 4, 5)


@pytest.mark.parametrize("batch", [None, 1, 4, 11])
def test_random_inputs_repeat_and_fill_fixed_batches(batch: int | None) -> None:
    first, second = random_inputs(SHAPE, batch), random_inputs(SHAPE, batch)
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.images, other.images)
        assert one.images.dtype == np.float32
        assert one.images.shape[1:] == SHAPE
        if batch is not None:
            assert one.batch_size == batch
            assert len(one.images) % batch == 0
    assert len({one.name for one in first}) == 3


def test_open_batches_come_in_several_sizes_and_large_images_in_small_numbers() -> None:
    assert len({one.batch_size for one in random_inputs(SHAPE, None)}) == 3
    assert all(len(one.images) == 2 for one in random_inputs((3, 224, 224), None))


def test_real_images_with_and_without_labels(tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((10, *SHAPE)).astype(np.float32)
    np.save(tmp_path / "a.npy", images)
    assert read_inputs(tmp_path / "a.npy", SHAPE, None, None).labels is None
    np.savez(tmp_path / "a.npz", images=images.astype(np.float64), labels=np.arange(10))
    read = read_inputs(tmp_path / "a.npz", SHAPE, 4, None)
    assert len(read.images) == 8
    assert read.labels is not None
    assert list(read.labels) == list(range(8))


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        ({"labels": np.arange(3)}, "holds no images"),
        ({"images": np.zeros((3, 3, 4, 4), np.float32)}, "does not fit"),
        ({"images": np.zeros((3, *SHAPE), np.uint8)}, "does not fit"),
        ({"images": np.zeros((0, *SHAPE), np.float32)}, "does not fit"),
        ({"images": np.full((3, *SHAPE), np.nan, np.float32)}, "NaN"),
        ({"images": np.zeros((3, *SHAPE), np.float32), "labels": np.arange(4)}, "one integer per"),
        ({"images": np.zeros((3, *SHAPE), np.float32), "labels": np.zeros(3)}, "one integer per"),
    ],
)
def test_unfit_data_is_refused(tmp_path: Path, arrays: dict[str, Any], match: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UsageError, match=match):
        read_inputs(tmp_path / "a.npz", SHAPE, None, None)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x80\x04N.", b"\x93NUMPY", b"\x93NUMPY\x01\x00"]
)
def test_unreadable_data_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(UsageError, match="cannot read"):
        read_inputs(tmp_path / "a.npz", SHAPE, None, None)


def test_too_few_images_for_a_fixed_batch_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((3, *SHAPE), np.float32))
    with pytest.raises(UsageError, match="one batch"):
        read_inputs(tmp_path / "a.npy", SHAPE, 4, None)

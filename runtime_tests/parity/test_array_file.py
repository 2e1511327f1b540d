"""Arrays in files are streamed: the same numbers as numpy's, in little memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.parity import image_series
from legoexport.parity.image_series import draw
from legoexport.parity.pictures import open_images, read_inputs

SHAPE = (2, 3, 4)
MEGABYTE = 10**6
WRITERS: dict[str, Callable[..., None]] = {
    "npy": np.save,
    "npz": lambda path, images: np.savez(path, images=images),
    "compressed": lambda path, images: np.savez_compressed(path, images=images),
}


def written(folder: Path, form: str, images: NDArray[Any]) -> Path:
    path = folder / f"images.{'npy' if form == 'npy' else 'npz'}"
    WRITERS[form](path, images)
    return path


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(1, 9),
    size=st.integers(1, 10),
    stored=st.tuples(st.sampled_from(["<f2", "<f4", ">f4", "<f8"]), st.sampled_from("CF")),
    data=st.data(),
)
def test_what_is_streamed_is_what_numpy_reads(
    tmp_path: Path,
    form: str,
    *,
    count: int,
    size: int,
    stored: tuple[str, Any],
    data: st.DataObject,
) -> None:
    dtype, order = stored
    images = np.random.default_rng(count).standard_normal((count, *SHAPE))
    path = written(tmp_path, form, np.asarray(images.astype(dtype), order=order))
    series = open_images(path, SHAPE, None).judging
    chosen = np.array(sorted(data.draw(st.sets(st.integers(0, count - 1)))), np.int64)
    batches = list(series.at(chosen).batches(size))
    wanted = images.astype(dtype).astype(np.float32)[chosen]
    assert all(len(one) == size for one in batches[:-1])
    assert all(one.dtype == np.float32 for one in batches)
    assert np.array_equal(np.concatenate([*batches, wanted[:0]]), wanted)


@pytest.mark.parametrize("form", WRITERS)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, form: str) -> None:
    shape = (3, 100, 100)
    count = 200 * MEGABYTE // (4 * 3 * 100 * 100)
    path = tmp_path / "sparse.npy"
    np.lib.format.open_memmap(path, "w+", np.float32, (count, *shape))
    if form != "npy":
        path = written(tmp_path, form, np.load(path, mmap_mode="r"))
    tracemalloc.start()
    try:
        series = open_images(path, shape, None).judging
        assert sum(len(batch) for batch in series.batches(8)) == count
        assert sum(len(batch) for batch in series.at(np.array([count - 1])).batches(8)) == 1
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 30 * MEGABYTE


def test_of_more_than_memory_should_hold_a_part_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.arange(10, dtype=np.float32)[:, None, None, None] + np.zeros((1, *SHAPE), "f4")
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(10))
    monkeypatch.setattr(image_series, "MOST_BYTES", 6 * images[0].nbytes)
    read = read_inputs(tmp_path / "a.npz", SHAPE, None, None)
    assert read.name == "6 of 10 images of a.npz"
    assert read.labels is not None
    assert read.images[:, 0, 0, 0].tolist() == read.labels.tolist() == draw(10, 6).tolist()


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_that_ends_early_is_refused(tmp_path: Path, form: str) -> None:
    images = np.random.default_rng(0).standard_normal((9, *SHAPE)).astype(np.float32)
    path = written(tmp_path, form, images)
    content = path.read_bytes()
    path.write_bytes(content[:-40])
    with pytest.raises(UsageError, match="cannot read"):
        read_inputs(path, SHAPE, None, None)


def test_damage_that_shows_only_later_is_refused(tmp_path: Path) -> None:
    images = np.random.default_rng(0).standard_normal((50, *SHAPE)).astype(np.float32)
    path = written(tmp_path, "npz", images)
    content = bytearray(path.read_bytes())
    content[1000] ^= 0xFF  # zip keeps a checksum of each member
    path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot read"):
        read_inputs(path, SHAPE, None, None)


@pytest.mark.parametrize(
    "shape", ["(9, 2, 3, 4", "(" * 200, "(10**30, 2, 3, 4)", "(1" + "0" * 30 + ",)"]
)
def test_a_crafted_header_is_refused(tmp_path: Path, shape: str) -> None:
    write_header(tmp_path / "a.npy", shape)
    with pytest.raises(UsageError, match=r"cannot read .*a\.npy"):
        read_inputs(tmp_path / "a.npy", SHAPE, None, None)


def test_a_header_may_write_1_as_true(tmp_path: Path) -> None:
    write_header(tmp_path / "a.npy", "(True, 2, 3, 4)")
    assert read_inputs(tmp_path / "a.npy", SHAPE, None, None).images.shape == (1, *SHAPE)


def write_header(path: Path, shape: str) -> None:
    """Write float32 zeros under a header that says ``shape``."""
    fields = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(fields).to_bytes(2, "little") + fields + bytes(96))


def test_numbers_that_float32_cannot_hold_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full((2, *SHAPE), 1e300))
    with pytest.raises(UsageError, match="infinite"):
        read_inputs(tmp_path / "a.npy", SHAPE, None, None)


@given(count=st.integers(0, 50), wanted=st.integers(0, 60))
def test_what_is_drawn_ascends_and_repeats(count: int, wanted: int) -> None:
    drawn = draw(count, wanted)
    assert len(drawn) == min(count, wanted)
    assert (np.diff(drawn) > 0).all()
    assert set(drawn) <= set(range(count))
    assert np.array_equal(drawn, draw(count, wanted))

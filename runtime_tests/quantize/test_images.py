"""Images to calibrate with: streamed, repeatable, and apart from those to judge on."""

from __future__ import annotations

import hashlib
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.parity.image_series import draw
from legoexport.parity.pictures import open_images
from legoexport.quantize.images import (
    MOST_IMAGES,
    CalibrationImages,
    Divided,
    calibration_images,
    divide,
    divide_images,
)
from legoexport.training.data.source import load
from runtime_tests.parity.picture_files import (
    NORMALIZATION,
    SHAPE,
    write_labelled,
    write_plain,
    zipped,
)

MEGABYTE = 10**6
DIGITS_SHAPE = (1, 8, 8)


def content(images: NDArray[np.float32]) -> set[bytes]:
    return {image.tobytes() for image in images}


def all_of(images: CalibrationImages) -> NDArray[np.float32]:
    return np.concatenate(list(images.batches(3)))


def without_count(divided: Divided) -> int:
    """How many images the set to judge on says were left out of it."""
    found = re.search(r", without (\d+) that calibrate$", divided.judging.name)
    return int(found[1]) if found else 0


def numbered(folder: Path, count: int) -> Path:
    """Write images of which number i is i everywhere."""
    images = np.arange(count, dtype=np.float32)[:, None, None, None] + np.zeros((1, *SHAPE), "f4")
    np.savez(folder / "a.npz", images=images, labels=np.arange(count))
    return folder / "a.npz"


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    numbers=st.lists(st.integers(0, 12), min_size=4, max_size=40),
    limit=st.none() | st.integers(2, 20),
)
def test_no_image_that_calibrates_is_judged(
    tmp_path: Path, numbers: list[int], limit: int | None
) -> None:
    values = np.array(numbers, np.float32)[:, None, None, None] + np.zeros((1, *SHAPE), "f4")
    np.savez(tmp_path / "a.npz", images=values, labels=numbers)
    first = min(limit or MOST_IMAGES, len(numbers) // 2)
    calibrating, rest = numbers[:first], numbers[first:]
    fresh = [n for n in rest if n not in calibrating]
    if not fresh:
        with pytest.raises(UsageError, match="not one is left to judge on"):
            divide(tmp_path / "a.npz", SHAPE, None, None, limit)
        return
    divided = divide(tmp_path / "a.npz", SHAPE, None, None, limit)
    assert all_of(divided.calibration)[:, 0, 0, 0].tolist() == calibrating
    assert divided.judging.images[:, 0, 0, 0].tolist() == fresh
    assert divided.judging.labels.tolist() == fresh
    assert without_count(divided) == len(rest) - len(fresh)


def test_images_that_were_read_already_are_not_read_again(tmp_path: Path) -> None:
    path = numbered(tmp_path, 9)
    expected, opened = divide(path, SHAPE, None, None), open_images(path, SHAPE, None)
    read, digest = opened.judging.inputs(None), expected.calibration.sha256
    path.unlink()
    found = divide_images(replace(opened, judging=opened.judging.held(read)), None)
    assert found.calibration.sha256 == digest
    np.testing.assert_array_equal(found.judging.images, expected.judging.images)
    np.testing.assert_array_equal(found.judging.labels, expected.judging.labels)
    for other in (read.images[1:], read.images.astype(np.uint8), read.images[..., 1:]):
        assert opened.judging.held(replace(read, arrays=(other,))) is opened.judging


def test_digits_calibrate_with_training_and_judge_on_test() -> None:
    data = load("digits", channels=1).data
    divided = divide("digits", DIGITS_SHAPE, None, None)
    training, test = content(data.train_images.numpy()), content(data.test_images.numpy())
    calibrating = content(all_of(divided.calibration))
    assert divided.calibration.count == MOST_IMAGES
    assert calibrating <= training
    assert content(divided.judging.images) == test - calibrating
    assert len(divided.judging.images) + without_count(divided) == len(data.test_images)
    # Every class takes part, in whatever order the source has them.
    labels = data.train_labels.numpy()[draw(len(data.train_labels), MOST_IMAGES)]
    assert set(labels) == set(range(10))


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_labelled_pictures(tmp_path: Path, form: str) -> None:
    path = write_labelled(tmp_path / "in")
    path = zipped(path, tmp_path / "in.zip") if form == "zip" else path
    divided = divide(path, SHAPE, None, NORMALIZATION)
    assert divided.calibration.source == f"training pictures of {path.name}"
    assert divided.calibration.count == 6
    assert len(divided.judging.images) == 3
    assert divided.judging.labels is not None
    assert not content(all_of(divided.calibration)) & content(divided.judging.images)


def test_halves_are_even_and_odd_images(tmp_path: Path) -> None:
    images = calibration_images(numbered(tmp_path, 9), SHAPE, None)
    halves = [all_of(images.half(part)) for part in (0, 1)]
    assert np.array_equal(halves[0], all_of(images)[0::2])
    assert np.array_equal(halves[1], all_of(images)[1::2])
    assert [images.half(part).count for part in (0, 1)] == [5, 4]
    assert images.half(0).sha256 != images.half(1).sha256


def test_the_digest_is_of_sizes_and_numbers_alone(tmp_path: Path) -> None:
    path = numbered(tmp_path, 70)
    images = calibration_images(path, SHAPE, None)
    whole = all_of(images)
    digest = hashlib.sha256(repr((70, *SHAPE)).encode() + whole.astype("<f4").tobytes())
    assert images.sha256 == digest.hexdigest()
    np.save(tmp_path / "b.npy", whole.astype(np.float64))
    assert calibration_images(tmp_path / "b.npy", SHAPE, None).sha256 == images.sha256
    whole[40, 0, 0, 0] += 1
    np.save(tmp_path / "b.npy", whole)
    assert calibration_images(tmp_path / "b.npy", SHAPE, None).sha256 != images.sha256


def test_images_in_memory_have_the_digest_of_those_in_a_file(tmp_path: Path) -> None:
    images = calibration_images(numbered(tmp_path, 40), SHAPE, None)
    given = CalibrationImages.of(all_of(images))
    assert np.array_equal(all_of(given), all_of(images))
    assert given.sha256 == images.sha256


def test_the_same_pictures_have_the_same_digest_in_every_form(tmp_path: Path) -> None:
    folder = write_plain(tmp_path / "in", 4)
    archive = zipped(folder, tmp_path / "in.zip")
    digests = {calibration_images(p, SHAPE, NORMALIZATION).sha256 for p in (folder, archive)}
    assert len(digests) == 1


def test_calibration_reads_a_large_file_in_little_memory(tmp_path: Path) -> None:
    shape = (3, 100, 100)
    count = 200 * MEGABYTE // (4 * 3 * 100 * 100)
    np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, (count, *shape))
    tracemalloc.start()
    try:
        images = calibration_images(tmp_path / "a.npy", shape, None, limit=count)
        assert images.count == count
        assert len(images.half(1).sha256) == 64
        assert sum(len(batch) for batch in images.batches(32)) == count
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 30 * MEGABYTE


@pytest.mark.parametrize(("count", "limit"), [(1, None), (9, 1), (9, 0)])
def test_too_few_to_calibrate_with(tmp_path: Path, count: int, limit: int | None) -> None:
    with pytest.raises(UsageError, match="too few"):
        calibration_images(numbered(tmp_path, count), SHAPE, None, limit)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_too_few_to_divide(tmp_path: Path, count: int) -> None:
    with pytest.raises(UsageError, match="too few"):
        divide(numbered(tmp_path, count), SHAPE, None, None)


def test_no_more_than_512_calibrate_unless_asked_for(tmp_path: Path) -> None:
    path = numbered(tmp_path, 1100)
    assert calibration_images(path, SHAPE, None).count == MOST_IMAGES
    assert divide(path, SHAPE, None, None, limit=540).calibration.count == 540

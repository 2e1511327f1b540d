"""Ranges of whole networks: exact, independent of batches, merged from two halves."""

from __future__ import annotations

import numpy as np
import pytest

from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.errors import UsageError
from legoexport.quantize.calibrate import calibrate, calibrate_halves
from legoexport.quantize.calibrators import METHODS, Method
from legoexport.quantize.observe import Observer
from legoexport.quantize.ranges import Ranges
from legoexport.quantize.recording import Recording
from runtime_tests.networks import small_net
from runtime_tests.quantize.networks import NETWORKS, Images, images, prepared_network

IMAGES = images(13)


@pytest.fixture(scope="module", params=NETWORKS)
def prepared(request: pytest.FixtureRequest) -> Prepared:
    return prepared_network(NETWORKS[request.param]())


@pytest.fixture(scope="module")
def small() -> Prepared:
    return prepared_network(small_net())


def as_one(ranges: Ranges) -> dict[str, object]:
    maps = {layer: tuple(largest.tolist()) for layer, largest in ranges.maps.items()}
    return {**ranges.activations, **maps, "clipped": dict(ranges.clipped)}


def test_minmax_keeps_the_extremes(prepared: Prepared) -> None:
    observer = Observer(prepared, threads=1)
    (values,) = observer.run(IMAGES)
    ranges = calibrate(prepared, [IMAGES], "minmax")
    assert list(ranges.activations) == list(observer.observed.activations)
    for name, (low, high) in ranges.activations.items():
        assert (low, high) == (values[name].min(), values[name].max())
    for layer, largest in ranges.maps.items():
        maps = np.abs(values[observer.observed.maps[layer]])
        np.testing.assert_array_equal(largest, maps.max(axis=(0, 2, 3)))
    assert set(ranges.clipped.values()) == {0.0}


@pytest.mark.parametrize("method", METHODS)
def test_halves_together_are_all_images(prepared: Prepared, method: Method) -> None:
    calibration = calibrate_halves(prepared, Images(IMAGES), method)
    # All even images went through the network in one run, and all odd ones in another.
    whole = calibrate(prepared, [IMAGES[0::2], IMAGES[1::2]], method)
    assert as_one(calibration.ranges) == as_one(whole)
    assert calibration.images_count == 13
    assert calibration.sha256 == Images(IMAGES).sha256


@pytest.mark.parametrize("method", METHODS)
def test_the_same_images_give_the_same_ranges(small: Prepared, method: Method) -> None:
    first, again = (calibrate(small, [IMAGES], method) for _ in range(2))
    assert as_one(first) == as_one(again)


@pytest.mark.parametrize("method", METHODS)
def test_the_cut_into_batches_does_not_matter(small: Prepared, method: Method) -> None:
    observer = Observer(small, threads=1)
    (values,) = observer.run(IMAGES)
    ranges = []
    for size in (1, 5, 13):
        recording = Recording(observer.observed, method)
        for start in range(0, 13, size):
            recording.add({name: value[start : start + size] for name, value in values.items()})
        ranges.append(as_one(recording.ranges()))
    assert ranges[0] == ranges[1] == ranges[2]


def test_a_fixed_batch_gives_the_same_extremes(small: Prepared) -> None:
    options = CompileOptions(dynamic_batch=False)
    fixed = prepared_network(small_net(), options, batch_size=4)
    expected = calibrate(small, [IMAGES], "minmax")
    halves = calibrate_halves(fixed, Images(IMAGES), "minmax")
    for ranges in (calibrate(fixed, [IMAGES], "minmax"), halves.ranges):
        assert ranges.activations.keys() == expected.activations.keys()
        for name, ends in ranges.activations.items():
            # A batch of another size may sum the same float32 products in another order.
            assert ends == pytest.approx(expected.activations[name], abs=1e-5)


def test_halves_that_disagree_are_named(small: Prepared) -> None:
    array = IMAGES.copy()
    array[1::2] *= 4
    calibration = calibrate_halves(small, Images(array), "minmax")
    even, odd = (calibrate(small, [array[start::2]], "minmax").activations for start in (0, 1))
    ratios = {name: _difference(even[name], odd[name]) for name in even}
    assert calibration.worst_half_difference_ratio == max(ratios.values())
    assert ratios[calibration.worst_value] == max(ratios.values())
    assert calibration.few_images_note is not None
    assert "too few images: 13" in calibration.few_images_note
    assert calibration.worst_value in calibration.few_images_note


def _difference(one: tuple[float, float], other: tuple[float, float]) -> float:
    low, high = np.array([one, other]).T
    reach = np.maximum(high, 0) - np.minimum(low, 0)
    return float(max(np.ptp(low), np.ptp(high)) / reach.max())


def test_halves_that_agree_need_no_note(small: Prepared) -> None:
    calibration = calibrate_halves(small, Images(np.repeat(IMAGES, 2, axis=0)), "minmax")
    assert calibration.worst_half_difference_ratio == 0
    assert calibration.few_images_note is None


def test_what_is_no_calibration_is_refused(small: Prepared) -> None:
    with pytest.raises(UsageError, match="two images or more"):
        calibrate_halves(small, Images(IMAGES[:1]), "minmax")
    with pytest.raises(UsageError, match="another shape"):
        calibrate(small, [IMAGES[:, :, :5]], "minmax")
    with pytest.raises(UsageError, match="value input becomes infinite"):
        calibrate(small, [np.full_like(IMAGES, np.nan)], "minmax")
    with pytest.raises(UsageError, match="has no range"):
        calibrate(small, [], "minmax")
    with pytest.raises(UsageError, match="unknown calibration method"):
        calibrate(small, [IMAGES], "median")  # type: ignore[arg-type]

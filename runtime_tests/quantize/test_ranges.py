"""Scales that follow from ranges, against their definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.scales import Affine
from legoexport.lego.storage import recover
from legoexport.models.round_weights import round_weights
from legoexport.passes import lego_op
from legoexport.quantize.calibrate import calibrate
from legoexport.quantize.ranges import Ranges, network_scales, to_scales
from legoexport.target import CPU
from runtime_tests.layers import random_frozen
from runtime_tests.networks import small_net
from runtime_tests.quantize.networks import images, prepared_network


def seeded(seed: int) -> tuple[FrozenLego, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return random_frozen(rng, o=3, m=6, n=8, pool_size=4), rng


@given(st.integers(0, 2**32 - 1))
def test_every_map_fills_the_integers(seed: int) -> None:
    frozen, rng = seeded(seed)
    largest = rng.uniform(0, 9, frozen.selection.pair_count).astype(np.float32)
    largest[rng.integers(len(largest))] = rng.choice([0.0, 1e-12])
    ranges = Ranges({"x": (-1.0, 3.0)}, {"layer": largest})
    bank = rng.uniform(0.001, 1, frozen.m).astype(np.float32)
    scales = to_scales(ranges, {"layer": frozen}, {"layer": bank}, "int8")
    assert scales.activations == {"x": Affine.of_range(-1.0, 3.0, "int8")}
    pairs = sorted({(i, int(j)) for i in range(frozen.o) for j in frozen.index[i]})
    for place, (_, j) in enumerate(pairs):
        reach = max(float(largest[place]), 1e-6 * float(largest.max()))
        assert scales.maps["layer"][place] == np.float32(float(bank[j]) / reach)


def test_a_layer_without_signal_has_scales() -> None:
    frozen, _ = seeded(0)
    silent = np.zeros(frozen.selection.pair_count, np.float32)
    bank = np.full(frozen.m, 0.25, np.float32)
    ranges = Ranges({}, {"layer": silent})
    scales = to_scales(ranges, {"layer": frozen}, {"layer": bank}, "uint8")
    assert (scales.maps["layer"] == 0.25).all()


def test_a_network_is_given_scales_that_fit_the_codes_of_its_banks() -> None:
    prepared = prepared_network(round_weights(small_net(), CPU.codes))
    ranges = calibrate(prepared, [images(3)], "minmax")
    scales = network_scales(prepared, ranges, "uint8")
    assert scales.activations.keys() == ranges.activations.keys()
    for node in lego_op.find(prepared.model.graph):
        encoded = recover(node.frozen.lego, CPU.codes)
        bank = np.concatenate([encoded.scale[used] for used in node.frozen.selection.filters])
        # A scale is the quotient of the two, and all three are rounded to float32.
        product = scales.maps[node.layer] * ranges.maps[node.layer]
        np.testing.assert_allclose(product, bank, rtol=3 * 2.0**-24)


def test_ranges_of_another_network_are_refused() -> None:
    frozen, _ = seeded(2)
    bank = {"layer": np.ones(frozen.m, np.float32)}
    wrong: tuple[dict[str, NDArray[np.float32]], ...] = (
        {},
        {"layer": np.ones(frozen.selection.pair_count + 1, np.float32)},
    )
    for maps in wrong:
        with pytest.raises(UsageError, match="layer layer: calibration has seen other maps"):
            to_scales(Ranges({}, maps), {"layer": frozen}, bank, "uint8")


@pytest.mark.parametrize("ends", [(1.0, 0.0), (0.0, np.inf), (np.nan, 1.0)])
def test_a_range_is_finite_and_in_order(ends: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="value x has no range"):
        Ranges({"x": ends}, {})

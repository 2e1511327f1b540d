"""What int8 costs, against the definitions in float64 and against faults that were planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from legoexport.passes.plan import Plan
from legoexport.quantize.cost import LayerCost, layer_costs
from legoexport.target import TARGETS
from runtime_tests.quantize.int8_definitions import (
    CLASSIFIER,
    LEGO,
    STEM,
    VALUES,
    activations,
    rounded,
    rounded_dense,
    rounded_lego,
    trained_layers,
)
from runtime_tests.quantize.int8_network import Int8Network, int8_network, other_int8, small_int8
from runtime_tests.reference import Array

# Each value that float32 rounds to the other side of a tie changes all that it is summed into, and
# biases of dense layers are rounded.
TOLERANCE_DB = 0.05
# What a planted fault must cost at least, and what a layer without any may change.
PLANTED_DB = 6.0
UNTOUCHED_DB = 0.01
# Rounding to 7 and 8 bits leaves more of any layer; what is cut out wrongly leaves nothing.
LEAST_DB = 30.0


@pytest.fixture(scope="module")
def network() -> Int8Network:
    return small_int8()


@pytest.fixture(scope="module")
def rows(network: Int8Network) -> dict[str, LayerCost]:
    return costs(network)


def costs(network: Int8Network, plan: Plan | str | None = None) -> dict[str, LayerCost]:
    found = layer_costs(network.trained, network.lowered(plan), [network.images])
    return {row.layer: row for row in found}


def decibels(signal: Array, changed: Array) -> float:
    return float(10 * np.log10(np.square(signal).sum() / np.square(changed - signal).sum()))


@pytest.mark.parametrize("lowering", ["int8_dense", "int8_per_fragment", "int8_grouped"])
def test_layers_cost_what_the_definitions_say(network: Int8Network, lowering: str) -> None:
    layers = trained_layers(network.module)
    passing = activations(layers, network.images.astype(np.float64))
    found = costs(network, lowering)
    assert list(found) == list(VALUES)
    for name, row in found.items():
        x, y = passing[name]
        before, after = (network.scales.activations.get(str(value)) for value in VALUES[name])
        exact = rounded_dense(network.module, name)
        both = exact
        if name in LEGO:
            exact = rounded_lego(network, name, lowering, exact=True)
            both = rounded_lego(network, name, lowering, exact=False)
        inside = rounded(x, before)
        expected = {
            "sqnr_weights_db": decibels(y, exact(x)),
            "sqnr_activations_db": decibels(y, rounded(layers[name](inside), after)),
            "sqnr_both_db": decibels(y, rounded(both(inside), after)),
        }
        for field, value in expected.items():
            assert getattr(row, field) == pytest.approx(value, abs=TOLERANCE_DB), (name, field)
        assert (row.computes, row.lowering) == (
            "int8",
            lowering if name in LEGO else ("Conv" if name == STEM else "Gemm"),
        )


def test_integers_of_maps_that_are_too_coarse_show_in_their_layer_alone(
    network: Int8Network, rows: dict[str, LayerCost]
) -> None:
    plan = "int8_per_fragment"
    coarse = network.with_maps({"second": network.scales.maps["second"] / np.float32(16)})
    before, after = costs(network, plan), costs(coarse, plan)
    lost = {name: _lost_db(before[name], after[name]) for name in rows}
    assert lost.pop("second") > PLANTED_DB
    assert max(map(abs, lost.values())) < UNTOUCHED_DB
    by_weights = (before["second"].sqnr_weights_db, after["second"].sqnr_weights_db)
    assert by_weights[0] == pytest.approx(by_weights[1], abs=UNTOUCHED_DB)


def test_a_coarse_scale_shows_where_its_value_leaves_and_enters(
    network: Int8Network, rows: dict[str, LayerCost]
) -> None:
    coarse = network.with_activation("relu_1", lambda one: replace(one, scale=one.scale * 16))
    after = costs(coarse)
    lost = {name: _lost_db(rows[name], after[name]) for name in rows}
    assert min(lost.pop("first"), lost.pop("second")) > PLANTED_DB
    assert max(map(abs, lost.values())) < UNTOUCHED_DB


def _lost_db(before: LayerCost, after: LayerCost) -> float:
    assert before.sqnr_both_db is not None
    assert after.sqnr_both_db is not None
    return before.sqnr_both_db - after.sqnr_both_db


def test_a_halved_scale_clips_what_lies_beyond(network: Int8Network) -> None:
    halved = network.with_activation("relu", lambda one: replace(one, scale=one.scale / 2))
    row, affine = costs(halved)[STEM], halved.scales.activations["relu"]
    _, y = activations(trained_layers(network.module), network.images.astype(np.float64))[STEM]
    assert (row.low, row.high) == (affine.low, affine.high)
    assert row.clipped_ratio == float((y > affine.high + affine.scale / 2).mean())
    assert row.clipped_ratio > 0


def test_integers_up_to_the_largest_value_clip_nothing(rows: dict[str, LayerCost]) -> None:
    # Weights that are rounded make values a little larger or smaller than those of training.
    assert max(row.clipped_ratio or 0 for row in rows.values()) < 1e-3


def test_layers_that_stay_float_are_told_apart(network: Int8Network) -> None:
    plan = Plan(
        {"first": "int8_per_fragment", "second": "dense", "third": "int8_dense"}, floats=(STEM,)
    )
    found = costs(network, plan)
    assert {name: row.computes for name, row in found.items()} == {
        STEM: "fp32",
        "first": "int8",
        "second": "fp32",
        "third": "int8",
        CLASSIFIER: "int8",
    }
    # Its input stays float, its weights stay rounded, and integers enter the layer behind it.
    assert found[STEM].high == network.scales.activations["relu"].high
    in_int8 = costs(network)[STEM]
    assert found[STEM].sqnr_weights_db == pytest.approx(in_int8.sqnr_weights_db, abs=TOLERANCE_DB)


def test_the_kernels_of_this_machine_have_no_part_in_it(rows: dict[str, LayerCost]) -> None:
    # Codes of 8 bits, which overflow on x86 without VNNI, cost less than those of 7 bits anywhere.
    for name, row in costs(int8_network(target=TARGETS["arm64"])).items():
        assert _lost_db(row, rows[name]) > 0, name


@pytest.mark.parametrize("lowering", [None, "int8_grouped", "grouped"])
@pytest.mark.parametrize(("name", "count"), [("outputs of Lego layers", 2), ("called thrice", 3)])
def test_layers_are_found_wherever_they_stand(name: str, count: int, lowering: str | None) -> None:
    found = costs(other_int8(name), lowering)
    assert len(found) == count
    for row in found.values():
        assert row.computes == ("fp32" if lowering == "grouped" else "int8")
        assert row.sqnr_both_db is not None
        assert row.sqnr_both_db > LEAST_DB
        # Where both layers stay float, so does everything.
        assert (row.high is None) == (row.sqnr_activations_db is None) == (lowering == "grouped")

"""Layers go back to float until a file is accurate enough, and no more of them than needed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.compile.pipeline import choose_plan, lower
from legoexport.errors import CheckFailed, UsageError
from legoexport.lego.names import belongs_to
from legoexport.parity.inputs import InputSet
from legoexport.passes.plan import Plan
from legoexport.passes.preference import preferred_plan
from legoexport.quantize.cost import LayerCost, layer_costs
from legoexport.quantize.revert import Held, in_float, revert_until
from legoexport.quantize.scores_cost import TrainedScores
from runtime_tests.quantize.int8_definitions import CLASSIFIER, LEGO, STEM
from runtime_tests.quantize.int8_network import Int8Network, small_int8

LAYERS = (STEM, *LEGO, CLASSIFIER)
# Steps so coarse that a layer says nothing any more.
COARSE = np.float32(4096)
# SQNR of scores that every network keeps whose layers are all sound.
GOOD_DB = 25.0


@pytest.fixture(scope="module")
def network() -> Int8Network:
    return small_int8()


@pytest.fixture(scope="module")
def scores(network: Int8Network) -> TrainedScores:
    with torch.no_grad():
        labels = network.module(torch.from_numpy(network.images)).argmax(dim=1).numpy()
    return TrainedScores(network.module, [InputSet("right", (network.images,), 1, labels)], 1)


def with_maps_plan(network: Int8Network) -> Plan:
    return Plan({site.layer: "int8_per_fragment" for site in network.prepared.sites})


def reverted(network: Int8Network, scores: TrainedScores, max_drop_points: float) -> Held:
    plan = with_maps_plan(network)
    layers = layer_costs(network.trained, lower(network.prepared, plan), [network.images])
    return revert_until(network.prepared, plan, layers, scores.drop_points, max_drop_points)


def in_float_of(plan: Plan) -> set[str]:
    lego = {name for name, lowering in plan.lowerings.items() if not lowering.startswith("int8")}
    return lego | set(plan.floats)


def test_a_network_that_is_accurate_keeps_its_plan(
    network: Int8Network, scores: TrainedScores
) -> None:
    plan = replace(with_maps_plan(network), max_drop_points=0.0)
    assert reverted(network, scores, 0.0) == Held(plan, 0.0, 0.0, ())


def test_an_awful_lego_layer_goes_alone(network: Int8Network, scores: TrainedScores) -> None:
    awful = network.with_maps({"second": network.scales.maps["second"] / COARSE})
    before = scores.drop_points(
        awful.lowered(with_maps_plan(awful)).model.SerializeToString(deterministic=True)
    )
    assert before > 0
    kept = reverted(awful, scores, before)
    assert kept.plan == replace(with_maps_plan(awful), max_drop_points=before)
    assert (kept.reverted, kept.drop_points) == ((), before)
    held = reverted(awful, scores, 0.0)
    plan, (one,) = held.plan, held.reverted
    assert (held.first_drop_points, held.drop_points) == (before, 0.0)
    assert (one.layer, one.drop_points) == ("second", 0.0)
    assert in_float_of(plan) == {"second"}
    options = awful.prepared.options
    preferred = preferred_plan(awful.prepared.sites, options.target, options.preference)
    assert plan.lowerings["second"] == preferred.lowerings["second"]


def test_an_awful_dense_layer_goes_alone(network: Int8Network, scores: TrainedScores) -> None:
    awful = network.with_activation(
        "input", lambda one: replace(one, scale=float(np.float32(one.scale) * COARSE))
    )

    def missing_db(model_bytes: bytes) -> float:
        ratio = scores.cost({"int8": model_bytes})[0].files[0].sqnr_db
        assert ratio is not None
        return GOOD_DB - ratio

    rows = layer_costs(awful.trained, awful.lowered(with_maps_plan(awful)), [awful.images])
    held = revert_until(awful.prepared, with_maps_plan(awful), rows, missing_db, 0.0)
    plan, (one,) = held.plan, held.reverted
    assert (one.layer, one.module) == (STEM, "stem_norm")
    assert (dict(plan.lowerings), plan.floats) == (dict(with_maps_plan(awful).lowerings), (STEM,))


def test_what_cannot_be_reached_is_an_error_that_says_so(network: Int8Network) -> None:
    plan = choose_plan(network.prepared)
    rows = layer_costs(network.trained, network.lowered(), [network.images])
    with pytest.raises(CheckFailed, match="--max-drop") as raised:
        revert_until(network.prepared, plan, rows, lambda _: 3.25, 0.5)
    message = str(raised.value)
    assert "3.25 percentage points" in message
    assert "at most 0.5" in message
    assert "next:" in message
    assert raised.value.exit_code == 1


def test_the_most_sensitive_layer_goes_first(network: Int8Network) -> None:
    rows = layer_costs(network.trained, network.lowered(), [network.images])
    unchanged = replace(rows[0], sqnr_both_db=None)
    already_float = replace(rows[1], computes="fp32")
    given_rows = [unchanged, already_float, *rows[2:]]
    drops = iter([4.0, 3.0, 2.0, 1.0])
    held = revert_until(
        network.prepared, choose_plan(network.prepared), given_rows, lambda _: next(drops), 1.0
    )
    expected = sorted(rows[2:], key=_both)
    assert [one.layer for one in held.reverted] == [row.layer for row in expected]
    assert [one.drop_points for one in held.reverted] == [3.0, 2.0, 1.0]
    assert (held.first_drop_points, held.drop_points) == (4.0, 1.0)
    assert in_float_of(held.plan) == {row.layer for row in expected}


def _both(row: LayerCost) -> float:
    assert row.sqnr_both_db is not None
    return row.sqnr_both_db


def test_a_lowering_in_integers_that_a_target_prefers_is_none_to_go_back_to(
    network: Int8Network,
) -> None:
    options = network.prepared.options
    lowerings = ("int8_grouped", *options.target.lowerings)
    preferring = replace(options.target, lowerings=lowerings, choice="order")
    prepared = replace(network.prepared, options=replace(options, target=preferring))
    assert in_float_of(in_float(prepared, choose_plan(prepared), ["second"])) == {"second"}


def test_floats_of_a_plan_that_are_no_nodes_are_named(network: Int8Network) -> None:
    plan = replace(choose_plan(network.prepared), floats=(STEM, "stemm"))
    with pytest.raises(UsageError, match="stemm"):
        lower(network.prepared, plan)


def test_a_plan_that_was_saved_keeps_its_floats(network: Int8Network) -> None:
    plan = in_float(network.prepared, choose_plan(network.prepared), ["second", STEM])
    again = Plan.from_json(plan.to_json(), source="saved")
    assert again == plan
    first, second = (
        lower(network.prepared, one).model.SerializeToString() for one in (plan, again)
    )
    assert first == second


@settings(max_examples=12, deadline=None)
@given(chosen=st.sets(st.sampled_from(LAYERS)))
def test_onnx_runtime_leaves_exactly_those_in_float(
    tmp_path_factory: pytest.TempPathFactory, chosen: set[str]
) -> None:
    network = small_int8()
    plan = in_float(network.prepared, choose_plan(network.prepared), sorted(chosen))
    model_bytes = network.lowered(plan).model.SerializeToString()
    nodes = optimized(model_bytes, tmp_path_factory.mktemp("mixed") / "optimized.onnx")
    in_floats = _owners(
        node.name for node in nodes if node.op_type in {"Conv", "FusedConv", "Gemm"}
    )
    in_integers = _owners(node.name for node in nodes if node.op_type in {"QLinearConv", "QGemm"})
    assert in_floats == chosen
    assert in_integers == set(LAYERS) - chosen


def optimized(model_bytes: bytes, path: Path) -> list[onnx.NodeProto]:
    """What ONNX Runtime runs, before it lays out maps in blocks, which would rename nodes."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])
    return list(onnx.load(path).graph.node)


def _owners(names: Iterable[str]) -> set[str]:
    return {
        next(layer for layer in LAYERS if name == layer or belongs_to(layer, name))
        for name in names
    }

"""Targets are data that can be kept: what they list exists, and what they promise is held."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper
from onnxruntime.tools.mobile_helpers import usability_checker

from legoexport.compile.pipeline import choose_plan
from legoexport.compile.stages import CompileOptions
from legoexport.deliver import invariants
from legoexport.deliver.convert import convert_module
from legoexport.errors import UsageError
from legoexport.ort.partitions import check_partitions
from legoexport.passes.eligible import automatic, eligible
from legoexport.passes.lowerings import LOWERINGS, Site, find_lowering
from legoexport.passes.lowerings.winograd_rows import WINOGRAD_ROWS
from legoexport.passes.plan import Plan, why_not
from legoexport.passes.preference import preferred_plan
from legoexport.target import (
    ARM64,
    COREML,
    CPU,
    NNAPI,
    TARGETS,
    XNNPACK,
    Target,
    find_target,
)
from runtime_tests.layers import random_frozen
from runtime_tests.networks import small_net

EXAMPLE = torch.zeros(1, 3, 12, 10)
QUANTIZED_OPS = {"QLinearConv", "QLinearMatMul", "QuantizeLinear", "DequantizeLinear"}
CPUS = ["cpu", "cpu-vnni", "arm64"]
FIXED = [target for target in TARGETS.values() if not target.dynamic_batch]


def site(**geometry: object) -> Site:
    frozen = random_frozen(np.random.default_rng(0), m=8, n=16, **geometry)  # type: ignore[arg-type]
    return Site("layer", frozen, (9, 9))


def chosen_for(target: Target, one: Site) -> str:
    unplanned = SimpleNamespace(options=CompileOptions(target), sites=[one])
    return choose_plan(unplanned).lowerings["layer"]  # type: ignore[arg-type]


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_a_target_lists_what_exists(target: Target) -> None:
    assert find_target(target.name) is target
    assert set(target.lowerings) <= set(LOWERINGS)
    assert len(set(target.lowerings)) == len(target.lowerings)
    assert "dense" in automatic(target), "tuning measures against it, and it serves every layer"
    assert automatic(target)[: len(target.lowerings)] == target.lowerings
    assert set(automatic(target)) <= set(eligible(target)) <= set(LOWERINGS)
    assert len(set(eligible(target))) == len(eligible(target))
    known = set(onnxruntime.capi.onnxruntime_pybind11_state.get_all_providers())
    assert set(target.providers) <= known
    for name in target.allowed_ops:
        onnx.defs.get_schema(name, 20, "")


@pytest.mark.parametrize(
    ("target", "check"),
    [
        (NNAPI, lambda model: usability_checker.check_nnapi_partitions(model, False)),
        (
            COREML,
            lambda model: usability_checker.check_coreml_partitions(
                model, False, "coreml_supported_mlprogram_ops.md"
            ),
        ),
    ],
    ids=["nnapi", "coreml"],
)
def test_allowed_operators_are_those_of_the_installed_tables(target: Target, check) -> None:  # type: ignore[no-untyped-def]
    def takes(op_type: str) -> bool:
        value = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
        # The checker stops at a Transpose without perm.
        node = helper.make_node(op_type, ["x"], ["y"], perm=[0])
        graph = helper.make_graph([node], "g", [value], [])
        return bool(check(helper.make_model(graph)).num_supported_nodes == 1)

    standard = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""}
    taken = {name for name in standard if takes(name)}
    assert target.allowed_ops <= taken
    # What the compiler itself or a network of convolutions may need is not left out by accident.
    assert taken & CPU.allowed_ops - QUANTIZED_OPS <= target.allowed_ops


def test_an_unknown_target_is_named() -> None:
    with pytest.raises(UsageError, match="toaster"):
        find_target("toaster")


@pytest.mark.parametrize("target", FIXED, ids=lambda target: target.name)
def test_a_fixed_batch_is_the_default_where_the_target_wants_it(target: Target) -> None:
    assert not CompileOptions(target).final_dynamic_batch
    with pytest.raises(UsageError, match=f"{target.name}(.|\n)*batch"):
        CompileOptions(target, dynamic_batch=True)
    assert CompileOptions().final_dynamic_batch


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_every_target_takes_a_whole_network(target: Target) -> None:
    conversion = convert_module(small_net(), EXAMPLE, CompileOptions(target))
    assert conversion.agreement.passed
    batch = conversion.compiled.model.graph.input[0].type.tensor_type.shape.dim[0]
    assert bool(batch.dim_value) is not target.dynamic_batch
    found = {one.provider: one for one in check_partitions(conversion.model_bytes)}
    promised = {"nnapi": ["NNAPI"], "coreml": ["CoreML MLProgram", "CoreML NeuralNetwork"]}
    assert all(found[name].whole for name in promised.get(target.name, []))


@pytest.mark.parametrize("target", [NNAPI, COREML], ids=["nnapi", "coreml"])
@pytest.mark.parametrize("lowering", ["grouped_dense_merge", "dense"])
def test_every_lowering_that_may_be_used_runs_as_one_partition(
    target: Target, lowering: str
) -> None:
    preferring = replace(target, lowerings=(lowering,), choice="order")
    conversion = convert_module(small_net(), EXAMPLE, CompileOptions(preferring))
    assert set(conversion.compiled.plan.lowerings.values()) == {lowering}
    assert all(one.whole for one in check_partitions(conversion.model_bytes))


def test_the_choice_by_work_takes_the_fewest_multiply_adds() -> None:
    many_outputs, one_fragment = site(fragment_channels=16), site(o=1, kernel=(1, 1))
    for one in (many_outputs, one_fragment):
        chosen = chosen_for(COREML, one)
        work = {name: find_lowering(name).footprint(one).macs for name in COREML.lowerings}
        assert work[chosen] == min(work.values())


@pytest.mark.parametrize("lowering", ["fragment_batch", "grouped", "winograd_rows_7"])
def test_the_choice_by_order_takes_the_first_that_serves(lowering: str) -> None:
    large = Site("layer", site(fragment_channels=64, padding=(1, 1)).frozen, (200, 200))
    others = tuple(name for name in ARM64.lowerings if name != lowering)
    assert chosen_for(replace(ARM64, lowerings=(lowering, *others)), large) == lowering
    assert chosen_for(ARM64, large) == "winograd_rows_4_stack"
    strided = Site("layer", replace(large.frozen, stride=(2, 2)), (200, 200))
    assert chosen_for(ARM64, strided) == "fragment_stack"


def test_a_new_lowering_needs_no_line_in_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LOWERINGS, "new", replace(WINOGRAD_ROWS[0], name="new"))
    assert [name for name in TARGETS if "new" in automatic(TARGETS[name])] == CPUS
    asked = [name for name in TARGETS if "new" in eligible(TARGETS[name])]
    assert asked == [*CPUS, "xnnpack"]
    frozen = random_frozen(np.random.default_rng(0), m=128, n=256, fragment_channels=128)
    free = replace(CPU, lowerings=("dense",), on_request=tuple(set(LOWERINGS) - {"dense", "new"}))
    assert chosen_for(free, Site("layer", frozen, (28, 28))) == "new", "by its footprint"


def test_nnapi_gets_no_dilated_convolution_in_groups() -> None:
    dilated, alone = site(dilation=(2, 2)), site(o=1, dilation=(2, 2))
    assert chosen_for(NNAPI, dilated) == "dense"
    assert "dilated" in str(why_not("grouped_dense_merge", dilated, NNAPI))
    assert why_not("grouped_dense_merge", alone, NNAPI) is None
    assert why_not("grouped_dense_merge", dilated, COREML) is None
    with pytest.raises(UsageError, match="dilated"):
        Plan({"layer": "grouped_dense_merge"}).check([dilated], NNAPI)


def test_what_is_folded_is_no_operator_of_the_target() -> None:
    conversion = convert_module(small_net(), EXAMPLE, CompileOptions(COREML))
    model = conversion.compiled.model
    assert "Gather" in {node.op_type for node in model.graph.node}
    invariants.check_operators(model, COREML)
    late = helper.make_node("Gather", ["output", model.graph.initializer[0].name], ["z"], name="b")
    model.graph.node.append(late)
    with pytest.raises(UsageError, match=r"node b (.|\n)*Gather(.|\n)*cpu"):
        invariants.check_operators(model, COREML)


def test_the_command_lists_every_target() -> None:
    command = [sys.executable, "-m", "legoexport", "targets"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(f"\n{name} " in text for name in TARGETS)
    listed = json.loads(subprocess.check_output([*command, "--json"]))
    assert [one["name"] for one in listed] == list(TARGETS)
    assert listed[0]["lowerings"] == list(automatic(CPU))
    assert set(listed[0]["on_request"]) == set(eligible(CPU)) - set(automatic(CPU))


def test_what_only_a_plan_may_choose_is_chosen_by_none() -> None:
    assert automatic(XNNPACK) == XNNPACK.lowerings
    assert set(eligible(XNNPACK)) == set(LOWERINGS)
    assert set(LOWERINGS) - set(automatic(CPU)) == set(CPU.on_request)
    frozen = random_frozen(np.random.default_rng(0), m=32, n=64, fragment_channels=32)
    place = Site("layer", frozen, (28, 28))
    assert why_not("winograd_rows_4", place, XNNPACK) is None
    assert preferred_plan([place], XNNPACK).lowerings["layer"] in XNNPACK.lowerings

"""Every promise of a converted file fails the conversion when it is broken."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import choose_plan, lower, prepare
from legoexport.compile.stages import Compiled, CompileOptions, Prepared
from legoexport.deliver import invariants
from legoexport.errors import InvariantBroken, UsageError
from legoexport.passes.lowerings import LOWERINGS
from legoexport.target import CPU
from runtime_tests.networks import plan_where_it_serves, small_net

EXAMPLE = torch.zeros(1, 3, 12, 10)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(freeze(small_net(), EXAMPLE), EXAMPLE, CompileOptions())


@pytest.fixture(scope="module")
def compiled(prepared: Prepared) -> Compiled:
    return lower(prepared, choose_plan(prepared))


def changed(compiled: Compiled, change: Callable[[onnx.ModelProto], None]) -> Compiled:
    model = onnx.ModelProto()
    model.CopyFrom(compiled.model)
    change(model)
    return dataclasses.replace(compiled, model=model)


def size(compiled: Compiled) -> int:
    return len(compiled.model.SerializeToString())


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_what_the_compiler_makes_passes(prepared: Prepared, lowering: str) -> None:
    compiled = lower(prepared, plan_where_it_serves(prepared, lowering))
    invariants.check_operators(compiled.model, CPU)
    invariants.check_banks_stored_once(compiled)
    invariants.check_size(size(compiled), compiled, None)
    invariants.check_loads(compiled.model.SerializeToString())


def bank_of(compiled: Compiled) -> np.ndarray:
    return compiled.layers[0].frozen.lego


@pytest.mark.parametrize(
    "second_copy",
    [
        lambda bank: bank,
        lambda bank: np.concatenate([bank, bank]),
        lambda bank: bank[:1],
        lambda bank: bank[::-1],
    ],
    ids=["whole", "tiled", "one filter", "reordered"],
)
def test_a_bank_stored_twice_is_found(
    compiled: Compiled, second_copy: Callable[[np.ndarray], np.ndarray]
) -> None:
    extra = numpy_helper.from_array(second_copy(bank_of(compiled)).copy(), "expanded")
    broken = changed(compiled, lambda model: model.graph.initializer.append(extra))
    with pytest.raises(InvariantBroken, match=r"layer first: its Lego bank(.|\n)*expanded"):
        invariants.check_banks_stored_once(broken)


def test_an_oversized_file_is_found(compiled: Compiled) -> None:
    limit = invariants.limit_bytes(invariants.size_budget(compiled))
    invariants.check_size(limit, compiled, None)
    with pytest.raises(InvariantBroken, match="larger than what it has to store"):
        invariants.check_size(limit + 1, compiled, None)


def test_the_users_own_limit_holds(compiled: Compiled) -> None:
    invariants.check_size(size(compiled), compiled, size(compiled))
    with pytest.raises(InvariantBroken, match="--max-size"):
        invariants.check_size(size(compiled), compiled, size(compiled) - 1)


def test_the_budget_counts_banks_tables_and_dense_layers(compiled: Compiled) -> None:
    budget = invariants.size_budget(compiled)
    banks = [layer.frozen.lego.size for layer in compiled.layers]
    entries = [layer.frozen.index.size * 8 + layer.frozen.n * 4 for layer in compiled.layers]
    assert budget.bank_bytes == 4 * sum(banks)
    assert budget.table_bytes == sum(entries)
    stem_and_classifier = 4 * (16 * 3 * 9 + 16 + 32 * 10 + 10)
    assert stem_and_classifier <= budget.dense_bytes <= stem_and_classifier + 64


@pytest.mark.parametrize(("domain", "op_type"), [("legoexport", "LegoConv2d"), ("", "Loop")])
def test_an_operator_outside_the_list_is_named(
    compiled: Compiled, domain: str, op_type: str
) -> None:
    node = helper.make_node(op_type, ["input"], ["z"], name="odd", domain=domain)
    broken = changed(compiled, lambda model: model.graph.node.append(node))
    with pytest.raises(UsageError, match=rf"odd of module head(.|\n)*{op_type}"):
        invariants.check_operators(broken.model, CPU, {"odd": "head"})
    node.name = "layer/merge/odd"
    broken = changed(compiled, lambda model: model.graph.node.append(node))
    with pytest.raises(InvariantBroken, match=rf"odd(.|\n)*{op_type}"):
        invariants.check_operators(broken.model, CPU)


def test_a_model_that_does_not_load_is_refused(compiled: Compiled) -> None:
    node = helper.make_node("Conv", ["input", "nowhere"], ["z"], name="odd")
    broken = changed(compiled, lambda model: model.graph.node.append(node))
    with pytest.raises(InvariantBroken, match="does not load"):
        invariants.check_loads(broken.model.SerializeToString())

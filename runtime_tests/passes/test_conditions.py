"""A planted mistake of a pass is caught where it is made; a user's mistake is a UsageError."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import onnxsim
import pytest
from onnx_ir.passes import PostconditionError, PreconditionError

from legoexport.errors import UsageError
from legoexport.passes import lego_op, lower_lego
from legoexport.passes.constants import set_constant
from legoexport.passes.draft import Draft
from legoexport.passes.drop_unused_pairs import DropUnusedPairs
from legoexport.passes.fold_batch_norm import FoldBatchNorm
from legoexport.passes.lower_lego import LowerLego
from legoexport.passes.opset_adapters import ADAPTERS
from legoexport.passes.plan import Plan
from legoexport.passes.set_opset import SetOpset
from legoexport.passes.simplify_graph import SimplifyGraph
from runtime_tests.passes.text import parse

GEOMETRY = "strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1]"
LEGO = f'legoexport.LegoConv2d <layer = "L", {GEOMETRY}>'
X = "(float[batch, 4, 5, 5] x) => (float y)"
TABLES = "float[3, 2, 1, 1] bank, int64[2, 4] i = {0, 1, 1, 0, 1, 1, 0, 0}, float[2, 4] k"
LAYER = f"{X} <{TABLES}> {{ a = {LEGO} (x, bank, i, k) y = Relu (a) }}"
PLAN = Plan({"L": "dense"})


def lego_node(model: ir.Model) -> ir.Node:
    return next(node for node in model.graph if node.domain == lego_op.DOMAIN)


def without_bank(model: ir.Model) -> None:
    lego_node(model).replace_input_with(1, None)


def with_open_bank(model: ir.Model) -> None:
    bank = ir.val("open", dtype=ir.DataType.FLOAT, shape=[3, 2, 1, 1])
    model.graph.inputs.append(bank)
    lego_node(model).replace_input_with(1, bank)


def with_short_coefficient(model: ir.Model) -> None:
    set_constant(lego_node(model), 3, "k", np.ones((2, 3), np.float32))


def with_long_bias(model: ir.Model) -> None:
    set_constant(lego_node(model), 4, "b", np.ones(5, np.float32))


def with_flat_index(model: ir.Model) -> None:
    set_constant(lego_node(model), 2, "i", np.zeros(8, np.int64))


def with_wide_filters(model: ir.Model) -> None:
    set_constant(lego_node(model), 1, "bank", np.ones((3, 5, 1, 1), np.float32))


def without_pads(model: ir.Model) -> None:
    lego_node(model).attributes.pop("pads")


@pytest.mark.parametrize("rewrite", [FoldBatchNorm(), DropUnusedPairs(), LowerLego(PLAN)])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (without_bank, "its lego is not stored"),
        (with_open_bank, "its lego is not stored"),
        (with_short_coefficient, r"coefficient has shape \(2, 3\), its index \(2, 4\)"),
        (with_long_bias, r"bias has shape \(5,\) for 4 outputs"),
        (with_flat_index, "not of rank 2"),
        (with_wide_filters, "4 channels enter 2 fragments of 5"),
        (without_pads, "attribute pads is missing"),
    ],
)
def test_a_node_that_is_no_lego_layer_stops_every_pass(
    rewrite: ir.passes.PassBase, damage: Callable[[ir.Model], None], said: str
) -> None:
    model = parse(LAYER)
    damage(model)
    named = rf"before {type(rewrite).__name__}: layer 'L': .*{said}"
    with pytest.raises(PreconditionError, match=named):
        rewrite(model)


@pytest.mark.parametrize("damage", [without_bank, with_open_bank])
def test_reading_a_layer_without_its_bank_names_it(damage: Callable[[ir.Model], None]) -> None:
    model = parse(LAYER)
    damage(model)
    with pytest.raises(UsageError, match="layer L: input 1 of LegoConv2d must be a constant"):
        list(lego_op.find(model.graph))


def test_two_layers_of_one_name_are_found() -> None:
    text = f"{X} <{TABLES}> {{ a = {LEGO} (x, bank, i, k) y = {LEGO} (a, bank, i, k) }}"
    with pytest.raises(PreconditionError, match="two LegoConv2d nodes are called 'L'"):
        LowerLego(PLAN)(parse(text))


def test_a_layer_outside_the_plan_and_a_map_of_open_size_are_found() -> None:
    with pytest.raises(PreconditionError, match="the plan has no lowering"):
        LowerLego(Plan({}))(parse(LAYER))
    with pytest.raises(PreconditionError, match="no fixed size"):
        LowerLego(PLAN)(parse(LAYER.replace("5, 5", "height, 5")))


def test_a_layer_inside_a_branch_is_a_users_mistake() -> None:
    size = "float[2, 4, 5, 5]"
    text = f"""({size} x, bool flag) => ({size} y) <{TABLES}> {{
        y = If (flag) <then_branch = yes () => ({size} a) {{ a = {LEGO} (x, bank, i, k) }},
                       else_branch = no () => ({size} b) {{ b = Relu (x) }}> }}"""
    with pytest.raises(UsageError, match="layer L runs inside a branch or a loop"):
        list(lego_op.find(parse(text).graph))


def lowering_that(build: Callable[[Draft, ir.Value], ir.Value]) -> Callable[[str], object]:
    class Planted:
        def build(self, draft: Draft, x: ir.Value, *rest: object) -> ir.Value:
            del rest
            return build(draft, x)

    return lambda name: Planted()


def misnamed(draft: Draft, x: ir.Value) -> ir.Value:
    draft.nodes.append(ir.node("Relu", [x], name="conv"))
    return draft.nodes[0].outputs[0]


def named_after_another(draft: Draft, x: ir.Value) -> ir.Value:
    draft.nodes.append(ir.node("Relu", [x], name="M/merge/sum"))
    return draft.nodes[0].outputs[0]


def named_alike(draft: Draft, x: ir.Value) -> ir.Value:
    first = draft.node("merge", "sum", "Relu", [x])
    second = draft.node("merge", "sum", "Relu", [first])
    second.name = "other"
    return second


def still_lego(draft: Draft, x: ir.Value) -> ir.Value:
    draft.nodes.append(ir.node("Odd", [x], name="L/merge/odd", domain=lego_op.DOMAIN))
    return draft.nodes[0].outputs[0]


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (misnamed, "conv is not named after it, as L/merge/sum is"),
        (named_after_another, "M/merge/sum is not named after it"),
        (named_alike, "two nodes or initializers are called L/merge/sum"),
        (still_lego, "node L/merge/odd is still a Odd"),
    ],
)
def test_a_lowering_that_breaks_the_contract_is_caught(
    monkeypatch: pytest.MonkeyPatch, build: Callable[[Draft, ir.Value], ir.Value], said: str
) -> None:
    monkeypatch.setattr(lower_lego, "find_lowering", lowering_that(build))
    with pytest.raises(PostconditionError, match=f"after LowerLego: .*{said}"):
        LowerLego(PLAN)(parse(LAYER))


def test_a_result_that_loses_its_name_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    model = parse(LAYER)
    LowerLego(PLAN)(model)

    def rename(proto: onnx.ModelProto, **options: object) -> tuple[onnx.ModelProto, bool]:
        del options
        text = proto.SerializeToString().replace(b"L/output", b"L/nothin")
        return onnx.load_from_string(text), True

    monkeypatch.setattr(onnxsim, "simplify", rename)
    with pytest.raises(PostconditionError, match=r"after SimplifyGraph: .*no node makes L/output"):
        SimplifyGraph()(model)


@pytest.mark.parametrize("rewrite", [SetOpset(17, 8), SimplifyGraph()])
def test_only_standard_operators_go_to_foreign_tools(rewrite: ir.passes.PassBase) -> None:
    with pytest.raises(PreconditionError, match="is still a LegoConv2d"):
        rewrite(parse(LAYER))


def test_an_adapter_that_does_nothing_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ADAPTERS, "ReduceMean", lambda node: True)
    model = parse(f"{X} <int64[1] a = {{1}}> {{ y = ReduceMean (x, a) }}", opset=18, ir_version=10)
    with pytest.raises(PostconditionError, match="opset 17 has no ReduceMean of 2 inputs"):
        SetOpset(17, 8)(model)


def test_tables_written_wrong_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def write_half(node: lego_op.LegoNode, frozen: object) -> None:
        del frozen
        set_constant(node.node, 3, "k", np.ones((1, 4), np.float32))

    monkeypatch.setattr(lego_op, "write_tables", write_half)
    with pytest.raises(PostconditionError, match="after DropUnusedPairs: layer 'L'"):
        DropUnusedPairs()(parse(LAYER))
    norm = LAYER.replace("y = Relu (a)", "y = BatchNormalization (a, s, s, s, s)")
    with pytest.raises(PostconditionError, match="after FoldBatchNorm: layer 'L'"):
        FoldBatchNorm()(parse(norm.replace("<float[3", "<float[4] s, float[3")))

"""Rebuilding weights: before and after as ONNX text, what stays folded, and equal numbers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_ir import passes

from legoexport.passes.lowerings import LOWERINGS, Site, find_lowering
from legoexport.passes.rebuild_weights import RebuildWeights
from runtime_tests.folding import fold
from runtime_tests.layers import LayerCase, layer_cases, lowered, run
from runtime_tests.passes.text import declined, numbers, parse, rewritten, shown

IMAGE = "(float[batch, 4, 5, 5] x) => (float y)"
BANK = "float[2, 4, 3, 3] bank, int64[3] index = {0, 1, 1}, float[3, 1, 1, 1] coefficient"
STORED = "float[3, 4, 3, 3] w"


def converted() -> ir.Model:
    return parse(
        f"{IMAGE} <{BANK}> {{ p = Gather (bank, index) w = Mul (p, coefficient)"
        " h = Conv (x, w) y = Relu (h) }"
    )


def folded(tail: str = "h = Conv (x, w) y = Relu (h)", stored: str = STORED) -> ir.Model:
    """What is left of it, with the weight that it computes."""
    model = parse(f"{IMAGE} <{stored}> {{ {tail} }}")
    initializers = {one.name: one for one in converted().graph.initializers.values()}
    bank, index, coefficient = (
        initializers[name].const_value.numpy() for name in ("bank", "index", "coefficient")
    )
    for name in set(model.graph.initializers) & {"w", "v", "p"}:
        value = bank[index] if name == "p" else bank[index] * coefficient
        model.graph.initializers[name].const_value = ir.tensor(value)
    return model


def test_a_weight_is_computed_again() -> None:
    before = folded()
    expected = numbers(before)
    rewrite = RebuildWeights(converted(), {"w": "w"})
    model = rewritten(rewrite, before, shown_text("h = Conv (x, w) y = Relu (h)"))
    assert set(model.graph.initializers) == {"bank", "index", "coefficient"}
    np.testing.assert_array_equal(numbers(model), expected)


def shown_text(tail: str) -> str:
    return f"{IMAGE} <{BANK}> {{ p = Gather (bank, index) w = Mul (p, coefficient) {tail} }}"


def test_one_of_another_name_is_found_again_where_it_was_read() -> None:
    before = folded("h = Conv (x, v) k = Conv (x, v) y = Add (h, k)", "float[3, 4, 3, 3] v")
    expected = numbers(before)
    after = shown_text("h = Conv (x, w) k = Conv (x, w) y = Add (h, k)")
    model = rewritten(RebuildWeights(converted(), {"v": "w"}), before, after)
    np.testing.assert_array_equal(numbers(model), expected)


def test_two_that_are_equal_are_computed_once_for_both() -> None:
    tail = "h = Conv (x, w) k = Conv (x, {}) y = Mul (h, k)"
    before = folded(tail.format("v"), f"{STORED}, {STORED[:-1]}v")
    expected = numbers(before)
    after = shown_text(tail.format("w"))
    model = rewritten(RebuildWeights(converted(), {"w": "w", "v": "w"}), before, after)
    np.testing.assert_array_equal(numbers(model), expected)


def test_what_the_tool_did_to_other_nodes_stays() -> None:
    tail = "h = Conv (x, w) k = Clip (h) y = Relu (k)"
    rewritten(RebuildWeights(converted(), {"w": "w"}), folded(tail), shown_text(tail))


def test_a_value_inside_of_an_expression_may_be_stored_too() -> None:
    tail = "h = Conv (x, w) k = Conv (x, p) y = Add (h, k)"
    before = folded(tail, f"{STORED}, float[3, 4, 3, 3] p")
    model = rewritten(RebuildWeights(converted(), {"w": "w", "p": "p"}), before, shown_text(tail))
    assert set(model.graph.initializers) == {"bank", "index", "coefficient"}


def test_nothing_changes_where_no_weight_is_named_or_none_is_left() -> None:
    declined(RebuildWeights(converted(), {}), folded())
    declined(RebuildWeights(converted(), {"w": "w"}), converted())


@pytest.mark.parametrize(
    "tail",
    [
        "h = Conv (x, w) p = Relu (h) y = Relu (p)",
        "bank = Conv (x, w) y = Relu (bank)",
    ],
    ids=["a value", "a constant"],
)
def test_names_that_mean_something_else_are_never_taken(tail: str) -> None:
    with pytest.raises(passes.PreconditionError, match="is another value of the model"):
        RebuildWeights(converted(), {"w": "w"})(folded(tail))


def test_the_nodes_stand_where_they_stood() -> None:
    source = parse(
        f"{IMAGE} <{BANK}> {{ r = Relu (x) p = Gather (bank, index)"
        " w = Mul (p, coefficient) y = Conv (r, w) }"
    )
    for place, node in enumerate(source.graph):
        node.name = f"node {place}"
    before = folded("r = Relu (x) y = Conv (r, w)")
    for node, name in zip(before.graph, ("node 0", "node 3"), strict=True):
        node.name = name
    model = RebuildWeights(source, {"w": "w"})(before).model
    assert [node.name for node in model.graph] == [f"node {place}" for place in range(4)]


@settings(max_examples=30, deadline=None)  # on a busy machine a session takes its time
@given(layer_cases(kernels=(1, 3)), st.sampled_from(sorted(LOWERINGS)))
def test_every_lowering_comes_back_as_it_was(case: LayerCase, name: str) -> None:
    height, width = case.x.shape[2:]
    if find_lowering(name).declines(Site("layer", case.frozen, (height, width))):
        return
    source = lowered(case.frozen, height, width, name)
    small = fold(ir.to_proto(source))
    stored = {tensor.name for tensor in small.graph.initializer}
    values = {name: name for name in stored - set(source.graph.initializers)}
    model = RebuildWeights(source, values)(ir.from_proto(small)).model
    assert shown(model) == shown(source)
    assert [node.name for node in model.graph] == [node.name for node in source.graph]
    np.testing.assert_array_equal(run(model, case.x), run(source, case.x))

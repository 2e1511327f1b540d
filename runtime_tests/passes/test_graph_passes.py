"""The passes that touch no Lego layer: before and after as ONNX text, and equal numbers."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from legoexport.errors import UsageError
from legoexport.passes.recognize_global_pool import RecognizeGlobalPool
from legoexport.passes.set_opset import SetOpset, onnx_opset_range
from legoexport.passes.simplify_graph import SimplifyGraph
from runtime_tests.layers import lowered, random_frozen
from runtime_tests.passes.text import declined, numbers, parse, rewritten, shown

IMAGE = "(float[batch, 4, 6, 5] x) => (float y)"


@pytest.mark.parametrize("axes", ["2, 3", "-1, -2", "3, 2"])
def test_a_spatial_mean_is_a_global_pool(axes: str) -> None:
    before = f"{IMAGE} <int64[2] axes = {{{axes}}}> {{ y = ReduceMean <keepdims = 1> (x, axes) }}"
    after = f"{IMAGE} {{ y = GlobalAveragePool (x) }}"
    model = rewritten(RecognizeGlobalPool(), parse(before, opset=18), after)
    # Two float32 means of 30 values in another order.
    expected = numbers(parse(before, opset=18))
    np.testing.assert_allclose(numbers(model), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        f"{IMAGE} <int64[2] a = {{1, 2}}> {{ y = ReduceMean <keepdims = 1> (x, a) }}",
        f"{IMAGE} <int64[1] a = {{2}}> {{ y = ReduceMean <keepdims = 1> (x, a) }}",
        f"{IMAGE} <int64[2] a = {{2, 3}}> {{ y = ReduceMean <keepdims = 0> (x, a) }}",
        "(float[b, 4, 6, 5, 2] x) => (float y) <int64[2] a = {2, 3}>"
        "{ y = ReduceMean <keepdims = 1> (x, a) }",
        f"{IMAGE} <int64[2] a = {{2, 3}}> {{ y = ReduceMax <keepdims = 1> (x, a) }}",
        f"{IMAGE} {{ y = ReduceMean <keepdims = 1> (x) }}",
        "(float[b, 4, 6, 5] x, int64[2] a) => (float y) { y = ReduceMean <keepdims = 1> (x, a) }",
    ],
    ids=["channel", "one axis", "keepdims=0", "rank 5", "no mean", "all axes", "open axes"],
)
def test_other_reductions_stay(text: str) -> None:
    declined(RecognizeGlobalPool(), parse(text, opset=18))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{IMAGE} {{ y = Relu (x) }}", f"{IMAGE} {{ y = Relu (x) }}"),
        (
            f"{IMAGE} <int64[1] a = {{1}}>"
            "{ y = ReduceMean <keepdims = 1, noop_with_empty_axes = 0> (x, a) }",
            f"{IMAGE} {{ y = ReduceMean <axes = [1], keepdims = 1> (x) }}",
        ),
        (
            f"{IMAGE} <int64[2] a = {{1, 2}}> {{ y = ReduceMax <keepdims = 0> (x, a) }}",
            f"{IMAGE} {{ y = ReduceMax <axes = [1, 2], keepdims = 0> (x) }}",
        ),
        (
            "(float[b, 4, 6] x) => (float y, float z) { y, z = Split <axis=1, num_outputs=2> (x) }",
            "(float[b, 4, 6] x) => (float y, float z) { y, z = Split <axis = 1> (x) }",
        ),
        (
            "(float[b, 4, 6] x) => (float y, float z) <int64[2] sizes = {1, 3}>"
            "{ y, z = Split <axis = 1> (x, sizes) }",
            "(float[b, 4, 6] x) => (float y, float z) <int64[2] sizes = {1, 3}>"
            "{ y, z = Split <axis = 1> (x, sizes) }",
        ),
        (
            f"{IMAGE} <int64[8] pads = {{0, 0, 1, 1, 0, 0, 1, 1}}> {{ y = Pad (x, pads) }}",
            f"{IMAGE} <int64[8] pads = {{0, 0, 1, 1, 0, 0, 1, 1}}> {{ y = Pad (x, pads) }}",
        ),
    ],
    ids=["unchanged", "mean", "max", "equal split", "sized split", "pad"],
)
def test_lowering_the_opset_keeps_the_numbers(before: str, after: str) -> None:
    model = rewritten(SetOpset(17, 8), parse(before, 18, 10), after)
    assert (model.opset_imports[""], model.ir_version) == (17, 8)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    np.testing.assert_array_equal(numbers(model), numbers(parse(before, 18, 10)))


BRANCH = """(float[2, 4] x, bool flag) => (float[2, 1] y) <int64[1] axes = {{1}}> {{
    y = If (flag) <
        then_branch = yes () => (float[2, 1] a) {{ a = ReduceMean <{attributes}> ({inputs}) }},
        else_branch = no () => (float[2, 1] b) {{ b = ReduceMax <{attributes}> ({inputs}) }}
    >
}}"""


def test_operators_inside_a_branch_are_lowered_too() -> None:
    before = BRANCH.format(attributes="keepdims = 1", inputs="x, axes")
    model = SetOpset(17, 8)(parse(before, opset=18, ir_version=10)).model
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    inner = [node for node in model.graph.all_nodes() if node.op_type.startswith("Reduce")]
    assert [node.attributes.get_ints("axes") for node in inner] == [(1,), (1,)]
    assert not model.graph.initializers


def test_an_operator_the_opset_lacks_is_named() -> None:
    with pytest.raises(UsageError, match="Gelu"):
        SetOpset(17, 8)(parse(f"{IMAGE} {{ y = Gelu (x) }}", opset=20))


def test_raising_the_opset_relabels() -> None:
    highest = onnx_opset_range()[1]
    model = SetOpset(highest, 10)(parse(f"{IMAGE} {{ y = Relu (x) }}")).model
    assert model.opset_imports[""] == highest


def test_old_formats_carry_no_node_metadata() -> None:
    model = parse(f"{IMAGE} {{ y = Relu (x) }}", opset=18, ir_version=10)
    next(iter(model.graph)).metadata_props["note"] = "IR 10 and later"
    proto = ir.to_proto(SetOpset(17, 8)(model).model)
    assert not proto.graph.node[0].metadata_props


def test_simplifying_removes_clutter() -> None:
    before = f"{IMAGE} <float[1] w> {{ a = Identity (x) b = Mul (a, w) y = Relu (b) }}"
    after = f"{IMAGE} <float[1] w> {{ b = Mul (x, w) y = Relu (b) }}"
    model = rewritten(SimplifyGraph(), parse(before), after)
    np.testing.assert_array_equal(numbers(model), numbers(parse(before)))


def test_simplifying_keeps_the_bank() -> None:
    frozen = random_frozen(np.random.default_rng(0), o=2, m=8, n=16, fragment_channels=8)
    model = lowered(frozen, 8, 8, "grouped")
    same = ir.val("same", dtype=ir.DataType.FLOAT, shape=model.graph.outputs[0].shape)
    model.graph.append(ir.node("Identity", [model.graph.outputs[0]], outputs=[same]))
    model.graph.outputs[0] = same
    expected = numbers(model)
    result = SimplifyGraph()(model)
    assert result.modified
    assert "Identity" not in shown(result.model)
    assert result.model.graph.initializers["layer.lego"].const_value is not None
    assert "layer/weights/gather" in {node.name for node in result.model.graph}
    np.testing.assert_array_equal(numbers(result.model), expected)
    assert not SimplifyGraph()(result.model).modified

"""The passes that touch no Lego layer: before, after, decline cases, idempotence, equal numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx_ir.passes.common import ShapeInferencePass

from legoexport.errors import UsageError
from legoexport.passes.recognize_global_pool import RecognizeGlobalPool
from legoexport.passes.set_opset import SetOpset, onnx_opset_range
from legoexport.passes.simplify_graph import SimplifyGraph
from runtime_tests.layers import lowered, random_frozen, run


def one_node(
    op_type: str,
    *constants: np.ndarray,
    shape: Sequence[int | str] = ("batch", 4, 6, 5),
    opset: int = 18,
    outputs_count: int = 1,
    **attributes: int | float | Sequence[int],
) -> ir.Model:
    x = ir.val("input", dtype=ir.DataType.FLOAT, shape=shape)
    values = [ir.val(f"constant_{i}", const_value=ir.tensor(a)) for i, a in enumerate(constants)]
    outputs = [ir.val(f"output_{i}", dtype=ir.DataType.FLOAT) for i in range(outputs_count)]
    node = ir.node(op_type, [x, *values], attributes, outputs=outputs, name="the_node")
    graph = ir.Graph(
        [x], outputs, nodes=[node], initializers=values, opset_imports={"": opset}, name="one_node"
    )
    model = ir.Model(graph, ir_version=10)
    return ShapeInferencePass()(model).model


def op_types(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("axes", [(2, 3), (-1, -2), (3, 2)])
def test_a_spatial_mean_is_a_global_pool(axes: tuple[int, int]) -> None:
    model = one_node("ReduceMean", np.array(axes), keepdims=1)
    expected = run(model, image(3, 4, 6, 5))
    assert RecognizeGlobalPool()(model).modified
    assert op_types(model) == ["GlobalAveragePool"]
    assert model.graph.outputs[0].name == "output_0"
    assert not model.graph.initializers
    # Two float32 means of 30 values in another order.
    np.testing.assert_allclose(run(model, image(3, 4, 6, 5)), expected, rtol=0, atol=1e-6)
    assert not RecognizeGlobalPool()(model).modified


@pytest.mark.parametrize(
    "model",
    [
        one_node("ReduceMean", np.array([1, 2]), keepdims=1),
        one_node("ReduceMean", np.array([2]), keepdims=1),
        one_node("ReduceMean", np.array([2, 3]), keepdims=0),
        one_node("ReduceMean", np.array([2, 3]), keepdims=1, shape=("batch", 4, 6, 5, 2)),
        one_node("ReduceMax", np.array([2, 3]), keepdims=1),
        one_node("ReduceMean", keepdims=1),
    ],
    ids=["channel axis", "one axis", "keepdims=0", "rank 5", "not a mean", "all axes"],
)
def test_other_reductions_stay(model: ir.Model) -> None:
    before = op_types(model)
    assert not RecognizeGlobalPool()(model).modified
    assert op_types(model) == before


@pytest.mark.parametrize(
    "model",
    [
        one_node("Relu"),
        one_node("ReduceMean", np.array([1]), keepdims=1, noop_with_empty_axes=0),
        one_node("ReduceMax", np.array([1, 2]), keepdims=0),
        one_node("Split", outputs_count=2, axis=1, num_outputs=2),
        one_node("Split", np.array([1, 3]), outputs_count=2, axis=1),
        one_node("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1])),
    ],
    ids=["unchanged", "mean", "max", "equal split", "sized split", "pad"],
)
def test_lowering_the_opset_keeps_the_numbers(model: ir.Model) -> None:
    x = image(2, 4, 6, 5)
    expected = run(model, x)
    result = SetOpset(17, 8)(model)
    assert result.modified
    assert (result.model.opset_imports[""], result.model.ir_version) == (17, 8)
    onnx.checker.check_model(ir.to_proto(result.model), full_check=True)
    np.testing.assert_array_equal(run(result.model, x), expected)
    assert not SetOpset(17, 8)(result.model).modified


def test_an_operator_the_opset_lacks_is_named() -> None:
    model = one_node("Gelu", opset=20)
    with pytest.raises(UsageError, match="Gelu"):
        SetOpset(17, 8)(model)


def test_raising_the_opset_relabels() -> None:
    highest = onnx_opset_range()[1]
    assert SetOpset(highest, 10)(one_node("Relu")).model.opset_imports[""] == highest


def test_old_formats_carry_no_node_metadata() -> None:
    model = one_node("Relu")
    next(iter(model.graph)).metadata_props["note"] = "IR 10 and later"
    proto = ir.to_proto(SetOpset(17, 8)(model).model)
    assert not proto.graph.node[0].metadata_props


def test_simplifying_removes_clutter_and_keeps_the_bank() -> None:
    frozen = random_frozen(np.random.default_rng(0), o=2, m=8, n=16, fragment_channels=8)
    model = lowered(frozen, 8, 8, "grouped")
    relu = model.graph.outputs[0]
    same = ir.val("same", dtype=ir.DataType.FLOAT, shape=relu.shape)
    model.graph.append(ir.node("Identity", [relu], outputs=[same]))
    model.graph.outputs[0] = same
    x = image(2, frozen.c, 8, 8)
    expected = run(model, x)
    result = SimplifyGraph()(model)
    assert result.modified
    assert "Identity" not in op_types(result.model)
    assert result.model.graph.initializers["layer.lego"].const_value is not None
    assert "layer/weights/gather" in {node.name for node in result.model.graph}
    np.testing.assert_array_equal(run(result.model, x), expected)
    assert not SimplifyGraph()(result.model).modified

"""Batch norm folds into the tables of the layer before it, or stays where it may not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings

from legoexport.passes import lego_op
from legoexport.passes.fold_batch_norm import FoldBatchNorm
from legoexport.passes.lower_lego import LowerLego
from legoexport.passes.plan import Plan
from runtime_tests.layers import LayerCase, layer_cases, lego_graph, random_frozen, run
from runtime_tests.reference import rounding_scale, split_transform_merge

# A few float32 roundings on top of those of the convolution sum.
TOLERANCE = 64 * float(np.finfo(np.float32).eps)


def append(model: ir.Model, op_type: str, *constants: np.ndarray, **attributes: float) -> None:
    """Add a node that reads the model's only output and becomes it."""
    graph = model.graph
    old = graph.outputs[0]
    values = [ir.val(f"constant_{i}", const_value=ir.tensor(a)) for i, a in enumerate(constants)]
    new = ir.val("normalized", dtype=ir.DataType.FLOAT, shape=old.shape)
    graph.append(ir.node(op_type, [old, *values], attributes, outputs=[new]))
    for value in values:
        graph.register_initializer(value)
    graph.outputs[0] = new


def statistics(rng: np.random.Generator, n: int) -> list[np.ndarray]:
    gain, shift, mean = (rng.standard_normal(n).astype(np.float32) for _ in range(3))
    return [gain, shift, mean, rng.uniform(0.1, 2, n).astype(np.float32)]


def op_types(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


@settings(max_examples=60, deadline=None)
@given(case=layer_cases())
def test_folding_keeps_the_function(case: LayerCase) -> None:
    frozen, x = case.frozen, case.x
    rng = np.random.default_rng(case.frozen.n)
    gain, shift, mean, var = statistics(rng, frozen.n)
    model = lego_graph(frozen, *x.shape[2:])
    append(model, "BatchNormalization", gain, shift, mean, var, epsilon=1e-3)
    assert FoldBatchNorm()(model).modified
    assert op_types(model) == ["LegoConv2d"]
    assert not FoldBatchNorm()(model).modified
    LowerLego(Plan({"layer": "grouped"}))(model)
    scale = gain.astype(np.float64) / np.sqrt(var.astype(np.float64) + 1e-3)
    plain = split_transform_merge(x.astype(np.float64), frozen)
    expected = (plain - mean[:, None, None]) * scale[:, None, None] + shift[:, None, None]
    size = (rounding_scale(x.astype(np.float64), frozen) + 4) * np.abs(scale).max() + 4
    assert np.abs(run(model, x) - expected).max() <= TOLERANCE * size


def test_the_bank_stays_untouched_and_the_output_keeps_its_name() -> None:
    frozen = random_frozen(np.random.default_rng(0), bias=False)
    model = lego_graph(frozen, 8, 8)
    append(model, "BatchNormalization", *statistics(np.random.default_rng(1), frozen.n))
    FoldBatchNorm()(model)
    (node,) = lego_op.find(model.graph)
    np.testing.assert_array_equal(node.frozen.lego, frozen.lego)
    assert node.frozen.bias is not None
    assert model.graph.outputs[0].name == "normalized"
    assert len(model.graph.initializers) == 4


def conv_model() -> ir.Model:
    x = ir.val("input", dtype=ir.DataType.FLOAT, shape=["batch", 3, 5, 5])
    weight = np.random.default_rng(0).standard_normal((4, 3, 1, 1)).astype(np.float32)
    w = ir.val("weight", const_value=ir.tensor(weight))
    y = ir.val("output", dtype=ir.DataType.FLOAT, shape=["batch", 4, 5, 5])
    graph = ir.Graph(
        [x],
        [y],
        nodes=[ir.node("Conv", [x, w], outputs=[y])],
        initializers=[w],
        opset_imports={"": 17},
        name="conv",
    )
    return ir.Model(graph, ir_version=8)


def test_an_ordinary_convolution_takes_it_too() -> None:
    model = conv_model()
    x = np.random.default_rng(1).standard_normal((2, 3, 5, 5)).astype(np.float32)
    append(model, "BatchNormalization", *statistics(np.random.default_rng(2), 4))
    expected = run(model, x)
    assert FoldBatchNorm()(model).modified
    assert op_types(model) == ["Conv"]
    np.testing.assert_allclose(run(model, x), expected, atol=1e-5, rtol=0)


def read_twice(model: ir.Model) -> None:
    y = model.graph.outputs[0]
    append(model, "BatchNormalization", *statistics(np.random.default_rng(3), 8))
    other = ir.val("other", dtype=ir.DataType.FLOAT, shape=y.shape)
    model.graph.append(ir.node("Relu", [y], outputs=[other]))
    model.graph.outputs.append(other)


def also_an_output(model: ir.Model) -> None:
    y = model.graph.outputs[0]
    append(model, "BatchNormalization", *statistics(np.random.default_rng(3), 8))
    model.graph.outputs.append(y)


def behind_an_activation(model: ir.Model) -> None:
    append(model, "Relu")
    append(model, "BatchNormalization", *statistics(np.random.default_rng(3), 8))


def with_open_statistics(model: ir.Model) -> None:
    append(model, "BatchNormalization", *statistics(np.random.default_rng(3), 8))
    mean = ir.val("mean", dtype=ir.DataType.FLOAT, shape=[8])
    model.graph.inputs.append(mean)
    node = next(node for node in model.graph if node.op_type == "BatchNormalization")
    node.replace_input_with(3, mean)


@pytest.mark.parametrize(
    "arrange", [read_twice, also_an_output, behind_an_activation, with_open_statistics]
)
def test_declines(arrange: Callable[[ir.Model], None]) -> None:
    model = lego_graph(random_frozen(np.random.default_rng(0)), 8, 8)
    arrange(model)
    before = op_types(model)
    assert not FoldBatchNorm()(model).modified
    assert op_types(model) == before

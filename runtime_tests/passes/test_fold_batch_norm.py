"""Batch norm folds into the tables of the layer before it, or stays where it may not."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings

from legoexport.passes import lego_op
from legoexport.passes.fold_batch_norm import FoldBatchNorm
from legoexport.passes.lower_lego import LowerLego
from legoexport.passes.plan import Plan
from runtime_tests.layers import LayerCase, layer_cases, lego_graph, run
from runtime_tests.passes.text import declined, numbers, parse, rewritten
from runtime_tests.reference import rounding_scale, split_transform_merge

# A few float32 roundings on top of those of the convolution sum.
TOLERANCE = 64 * float(np.finfo(np.float32).eps)

STATISTICS = "float[4] gain, float[4] shift, float[4] mean, float[4] var"
# A gain that float32 holds, and whose quotient by the deviation it does not.
HUGE = (
    "float[4] gain = {1e38, 1e38, 1e38, 1e38}, float[4] shift, float[4] mean, "
    "float[4] var = {1e-12, 1e-12, 1e-12, 1e-12}"
)
NORM = "BatchNormalization <epsilon = 0.001> (a, gain, shift, mean, var)"
LEGO = """legoexport.LegoConv2d <layer = "L", strides = [1, 1], pads = [0, 0, 0, 0],
                                    dilations = [1, 1]>"""
TABLES = "float[3, 2, 1, 1] lego, int64[2, 4] index = {0, 1, 2, 0, 1, 1, 2, 2}, float[2, 4] k"
X = "(float[batch, 4, 5, 5] x) => (float y)"


def append_norm(model: ir.Model, *constants: np.ndarray, epsilon: float) -> None:
    """Add a batch norm that reads the model's only output and becomes it."""
    graph = model.graph
    old = graph.outputs[0]
    values = [ir.val(f"constant_{i}", const_value=ir.tensor(a)) for i, a in enumerate(constants)]
    new = ir.val("normalized", dtype=ir.DataType.FLOAT, shape=old.shape)
    attributes = {"epsilon": epsilon}
    graph.append(ir.node("BatchNormalization", [old, *values], attributes, outputs=[new]))
    for value in values:
        graph.register_initializer(value)
    graph.outputs[0] = new


@settings(max_examples=60, deadline=None)
@given(case=layer_cases())
def test_folding_keeps_the_function(case: LayerCase) -> None:
    frozen, x = case.frozen, case.x
    rng = np.random.default_rng(case.frozen.n)
    gain, shift, mean = (rng.standard_normal(frozen.n).astype(np.float32) for _ in range(3))
    var = rng.uniform(0.1, 2, frozen.n).astype(np.float32)
    model = lego_graph(frozen, *x.shape[2:])
    append_norm(model, gain, shift, mean, var, epsilon=1e-3)
    assert FoldBatchNorm()(model).modified
    assert [node.op_type for node in model.graph] == ["LegoConv2d"]
    assert not FoldBatchNorm()(model).modified
    LowerLego(Plan({"layer": "grouped"}))(model)
    scale = gain.astype(np.float64) / np.sqrt(var.astype(np.float64) + 1e-3)
    plain = split_transform_merge(x.astype(np.float64), frozen)
    expected = (plain - mean[:, None, None]) * scale[:, None, None] + shift[:, None, None]
    size = (rounding_scale(x.astype(np.float64), frozen) + 4) * np.abs(scale).max() + 4
    assert np.abs(run(model, x) - expected).max() <= TOLERANCE * size


def test_a_lego_layer_takes_it_and_its_bank_stays_untouched() -> None:
    before = parse(f"{X} <{TABLES}, {STATISTICS}> {{ a = {LEGO} (x, lego, index, k) y = {NORM} }}")
    after = f"{X} <{TABLES}, float[4] b> {{ y = {LEGO} (x, lego, index, k, b) }}"
    bank = next(lego_op.find(before.graph)).frozen.lego
    (node,) = lego_op.find(rewritten(FoldBatchNorm(), before, after).graph)
    np.testing.assert_array_equal(node.frozen.lego, bank)
    assert node.bank.name == "lego"


@pytest.mark.parametrize("bias", ["", ", b"], ids=["no bias", "bias"])
def test_an_ordinary_convolution_takes_it_too(bias: str) -> None:
    stored = "float[4, 4, 1, 1] w" + bias.replace(" b", " float[4] b")
    before = f"{X} <{stored}, {STATISTICS}> {{ a = Conv (x, w{bias}) y = {NORM} }}"
    after = f"{X} <float[4, 4, 1, 1] w, float[4] b> {{ y = Conv (x, w, b) }}"
    model = rewritten(FoldBatchNorm(), parse(before), after)
    # Four products a sum, scaled by at most 2 / sqrt(0.1).
    np.testing.assert_allclose(numbers(model), numbers(parse(before)), atol=1e-5, rtol=0)


def test_weights_that_another_convolution_reads_stay_for_it() -> None:
    two = "(float[batch, 4, 5, 5] x) => (float y, float z)"
    before = f"""{two} <float[4, 4, 1, 1] w, {STATISTICS}>
        {{ a = Conv (x, w) y = {NORM} z = Conv (x, w) }}"""
    after = (
        f"{two} <float[4, 4, 1, 1] scaled, float[4] b, float[4, 4, 1, 1] w>"
        "{ y = Conv (x, scaled, b) z = Conv (x, w) }"
    )
    rewritten(FoldBatchNorm(), parse(before), after)


@pytest.mark.parametrize(
    "text",
    [
        f"(float[batch, 4, 5, 5] x) => (float y, float z) <{TABLES}, {STATISTICS}>"
        f"{{ a = {LEGO} (x, lego, index, k) y = {NORM} z = Relu (a) }}",
        f"(float[batch, 4, 5, 5] x) => (float y, float a) <{TABLES}, {STATISTICS}>"
        f"{{ a = {LEGO} (x, lego, index, k) y = {NORM} }}",
        f"{X} <{TABLES}, {STATISTICS}>{{ r = {LEGO} (x, lego, index, k) a = Relu (r) y = {NORM} }}",
        "(float[batch, 4, 5, 5] x, float[4] mean) => (float y)"
        f"<{TABLES}, {STATISTICS.replace('float[4] mean, ', '')}>"
        f"{{ a = {LEGO} (x, lego, index, k) y = {NORM} }}",
        f"{X} <{TABLES}, {STATISTICS}> {{ a = {LEGO} (x, lego, index, k)"
        f" y = {NORM.replace('>', ', training_mode = 1>')} }}",
        f"{X} <{STATISTICS}> {{ a = Relu (x) y = {NORM} }}",
        "(float[batch, 4, 5, 5] x, float[4, 4, 1, 1] w) => (float y)"
        f"<{STATISTICS}> {{ a = Conv (x, w) y = {NORM} }}",
        f"{X} <{TABLES}, {HUGE}> {{ a = {LEGO} (x, lego, index, k) y = {NORM} }}",
        f"{X} <float[4, 4, 1, 1] w, {HUGE}> {{ a = Conv (x, w) y = {NORM} }}",
    ],
    ids=[
        "read twice",
        "also an output",
        "behind an activation",
        "open statistics",
        "statistics of the batch",
        "no layer before",
        "open weights",
        "out of range",
        "out of range, ordinary",
    ],
)
def test_declines(text: str) -> None:
    declined(FoldBatchNorm(), parse(text))

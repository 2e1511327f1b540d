"""StoreWeights: before and after as ONNX text, declined cases, equal numbers."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from legoexport.lego.storage import Store, encode
from legoexport.passes.store_weights import StoreWeights
from runtime_tests.passes.text import declined, numbers, parse, shown

SHORT: tuple[Store, ...] = ("fp16", "int8")
TYPES = {"fp16": "float16", "int8": "int8"}
CONV = """(float[b, 4, 6, 5] x) => (float y) <float[3, 4, 3, 3] w, float[3] bias>
    { y = Conv (x, w, bias) }"""
MATMUL = "(float[b, 16] x) => (float y) <float[16, 5] w> { y = MatMul (x, w) }"
# Three roundings in float32 of sums of 36 products.
TOLERANCE = 1e-5


def rounded(text: str, store: Store, axis: int = 0) -> ir.Model:
    """Read a model and round its weight ``w``, a row for each output."""
    model = parse(text)
    value = model.graph.initializers["w"]
    assert value.const_value is not None
    rows = np.moveaxis(value.const_value.numpy(), axis, 0)
    decoded = np.moveaxis(encode(rows, store).decode(), 0, axis)
    value.const_value = ir.tensor(np.ascontiguousarray(decoded), name="w")
    return model


@pytest.mark.parametrize("store", SHORT)
def test_a_weight_becomes_codes_and_scales(store: Store) -> None:
    model = rounded(CONV, store)
    expected = numbers(model)
    result = StoreWeights(store)(model)
    assert result.modified
    lines = shown(result.model).splitlines()
    assert lines[1].startswith(f"w2 = {TYPES[store]}[3, 4, 3, 3]")
    assert lines[2:] == [
        "v3 = Cast <to: int = 1> (w2)",
        "w4 = float32[3, 1, 1, 1]",
        "v5 = Mul (v3, w4)",
        "w6 = float32[3]",
        "y = Conv (x, v5, w6)",
    ]
    np.testing.assert_allclose(numbers(result.model), expected, rtol=0, atol=TOLERANCE)
    assert not StoreWeights(store)(result.model).modified


@pytest.mark.parametrize("store", SHORT)
def test_a_transposed_matrix_has_a_scale_a_column(store: Store) -> None:
    model = rounded(MATMUL, store, axis=1)
    expected = numbers(model)
    result = StoreWeights(store)(model)
    assert "float32[1, 5]" in shown(result.model)
    np.testing.assert_allclose(numbers(result.model), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("store", SHORT)
def test_what_was_not_rounded_stays(store: Store) -> None:
    declined(StoreWeights(store), parse(CONV))


def test_fp32_changes_nothing() -> None:
    declined(StoreWeights("fp32"), rounded(CONV, "int8"))


@pytest.mark.parametrize(
    "text",
    [
        "(float[b, 16] x) => (float y) <float[1, 16] w> { y = Add (x, w) }",
        "(float[b, 4, 6, 5] x) => (float y) <float[4, 1, 1, 1] w> { y = Conv <group = 4> (x, w) }",
        "(float[b, 4] x) => (float y) <float[16, 4] c, float[4, 16] w> { y = Gemm (x, w) }",
    ],
    ids=["no weight", "rows of one", "an unread one"],
)
def test_tables_and_short_rows_stay(text: str) -> None:
    model = rounded(text, "int8") if "Gemm" not in text else parse(text)
    declined(StoreWeights("int8"), model)

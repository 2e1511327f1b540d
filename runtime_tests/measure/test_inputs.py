"""Shapes are filled with the batch, and nothing else is guessed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legoexport.errors import UsageError
from legoexport.measure.inputs import fill_shapes
from legoexport.measure.options import BenchOptions

MODEL = Path("model.onnx")
FLOAT = "tensor(float)"
SIZES = st.lists(st.integers(1, 64), max_size=4)


@given(SIZES, st.integers(1, 99))
def test_an_open_batch_is_filled(sizes: list[int], batch_size: int) -> None:
    for free in ("batch", None):
        filled = fill_shapes(MODEL, [("x", FLOAT, [free, *sizes])], batch_size)
        assert filled == [("x", "float32", [batch_size, *sizes])]


def test_scalars_and_other_types_are_filled() -> None:
    inputs = [("s", "tensor(double)", []), ("i", "tensor(int64)", [2, 3])]
    assert fill_shapes(MODEL, inputs, 2) == [("s", "float64", []), ("i", "int64", [2, 3])]


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        (FLOAT, ["batch", 3, "h", "w"], "more of input x open than the batch"),
        (FLOAT, ["batch", 3, None, 4], "more of input x open than the batch"),
        (FLOAT, [4, 3, 8, 8], "another batch"),
        ("tensor(string)", ["batch"], "random numbers"),
    ],
)
def test_anything_else_is_refused(kind: str, shape: list[object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fill_shapes(MODEL, [("x", kind, shape)], 2)


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 0},
        {"threads": 1, "batch_size": 0},
        {"threads": 1, "duration_s": 0.0},
        {"threads": 1, "duration_s": float("nan")},
        {"threads": 1, "duration_s": float("inf")},
    ],
)
def test_options_must_be_positive(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="positive"):
        BenchOptions(**options)  # type: ignore[arg-type]

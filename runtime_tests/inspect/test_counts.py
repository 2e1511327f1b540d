"""Counts against a loop over every weight and every multiplication."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legoexport.lego.counts import LegoShape, count

SHAPE = LegoShape(
    o=2,
    m=32,
    n=64,
    c=64,
    kernel=(3, 3),
    stride=(1, 1),
    padding=(1, 1),
    dilation=(1, 1),
    input_size=(32, 32),
    filters_used=30,
    pairs_used=57,
)


@st.composite
def shapes(draw: st.DrawFn) -> LegoShape:
    small = st.integers(1, 3)
    pair = st.tuples(small, small)
    o, m, n = draw(small), draw(st.integers(1, 5)), draw(st.integers(1, 5))
    return LegoShape(
        o=o,
        m=m,
        n=n,
        c=o * draw(small),
        kernel=draw(pair),
        stride=draw(pair),
        padding=(1, 0),
        dilation=draw(pair),
        input_size=draw(st.tuples(st.integers(7, 9), st.integers(7, 9))),
        filters_used=draw(st.integers(1, m)),
        pairs_used=draw(st.integers(o, o * m)),
        has_coefficients=draw(st.booleans()),
        has_bias=draw(st.booleans()),
    )


def positions(shape: LegoShape, axis: int) -> int:
    """Slide the kernel over the padded axis, one tap test at a time."""
    padded = shape.input_size[axis] + 2 * shape.padding[axis]
    last_tap = (shape.kernel[axis] - 1) * shape.dilation[axis]
    return sum(
        start % shape.stride[axis] == 0 and start + last_tap < padded for start in range(padded)
    )


@given(shapes())
def test_multiply_adds_are_those_of_the_sums_written_out(shape: LegoShape) -> None:
    counts = count(shape)
    pixels = positions(shape, 0) * positions(shape, 1)
    kh, kw = shape.kernel
    a_filter = sum(1 for _ in product(range(shape.c // shape.o), range(kh), range(kw)))
    assert counts.transform_macs == shape.o * shape.m * a_filter * pixels
    assert counts.used_transform_macs == shape.pairs_used * a_filter * pixels
    assert counts.merge_macs == shape.o * shape.n * pixels
    assert counts.dense_macs == shape.n * shape.c * kh * kw * pixels


@given(shapes())
def test_the_paper_ratios_are_those_of_its_equations(shape: LegoShape) -> None:
    counts = count(shape)
    assert counts.paper_compression_ratio == pytest.approx(shape.n * shape.o / shape.m)
    assert counts.paper_speedup_ratio == pytest.approx(shape.n / shape.m)
    assert counts.counted_compression_ratio > 0
    assert counts.counted_speedup_ratio > 0


def test_a_layer_of_vgg16_by_hand() -> None:
    counts = count(SHAPE)
    assert counts.bank_weights == 32 * 32 * 9
    assert counts.coefficient_entries == counts.index_entries == 128
    assert counts.index_ideal_bits == 128 * 5
    assert counts.dense_weights == 64 * 64 * 9
    assert counts.stored_bytes == 4 * (30 * 32 * 9 + 128 + 128)
    assert counts.parameters == 32 * 32 * 9 + 128 + 64
    assert counts.dense_macs == 64 * 64 * 9 * 32 * 32
    assert counts.paper_compression_ratio == 4
    assert counts.paper_speedup_ratio == 2
    assert counts.counted_speedup_ratio == pytest.approx(64 * 64 * 9 / (57 * 32 * 9 + 128))


@pytest.mark.parametrize(("m", "bits"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (256, 8)])
def test_an_ideal_index_takes_log2_m_bits_rounded_up(m: int, bits: int) -> None:
    shape = replace(SHAPE, m=m, filters_used=1, pairs_used=2)
    assert count(shape).index_ideal_bits == bits * shape.o * shape.n


def test_coefficients_that_are_off_take_no_room() -> None:
    counts = count(replace(SHAPE, has_coefficients=False, has_bias=False))
    assert counts.coefficient_entries == counts.bias_entries == 0
    assert counts.stored_bytes == 4 * (30 * 32 * 9 + 128)

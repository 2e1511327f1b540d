"""Codes and scales: exact products, half a step of rounding, the same codes once more."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.lego.storage import (
    LEAST_FOLDED_WEIGHT,
    LEAST_SCALE,
    Encoded,
    Store,
    encode,
    find_store,
    is_encoded,
    recover,
    stored_bytes,
)

SHORT: tuple[Store, ...] = ("fp16", "int8")
# float16 rounds by at most half of its last of 11 bits.
HALF_UNIT = 2.0**-11
# Below its normal numbers float16 steps evenly; the scale of a row is at most its largest weight.
LEAST_STEP = 2.0**-25
# A scale is cut to 13 or 17 bits, so a step may be that much smaller than the exact one.
CUT = 1 + 2.0**-12

rows = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(2, 4), st.integers(4, 6)),
    elements=st.floats(-(2.0**20), 2.0**20, width=32),
)


@given(rows)
def test_int8_rounds_to_the_nearest_code(weights: NDArray[np.float32]) -> None:
    encoded = encode(weights, "int8")
    assert encoded.codes.dtype == np.int8
    error = np.abs(encoded.decode().astype(np.float64) - weights)
    step = np.maximum(np.abs(weights).max(axis=(1, 2), keepdims=True) / 127, 2 * LEAST_SCALE)
    assert (error <= step / 2 * CUT).all()


@given(rows)
def test_fp16_rounds_to_eleven_bits_of_the_row(weights: NDArray[np.float32]) -> None:
    encoded = encode(weights, "fp16")
    assert encoded.codes.dtype == np.float16
    error = np.abs(encoded.decode().astype(np.float64) - weights)
    largest = np.abs(weights).max(axis=(1, 2), keepdims=True)
    limit = np.abs(weights) * HALF_UNIT + largest * LEAST_STEP + LEAST_SCALE
    assert (error <= limit * CUT).all()


@pytest.mark.parametrize("store", SHORT)
@given(weights=rows)
def test_every_product_is_exact_in_float32(weights: NDArray[np.float32], store: Store) -> None:
    encoded = encode(weights, store)
    exact = encoded.codes.astype(np.float64) * encoded.scale[:, None, None].astype(np.float64)
    np.testing.assert_array_equal(encoded.decode(), exact)


@pytest.mark.parametrize("store", SHORT)
@given(weights=rows)
def test_what_was_decoded_has_the_same_codes(weights: NDArray[np.float32], store: Store) -> None:
    first = encode(weights, store)
    for again in (encode(first.decode(), store), recover(first.decode(), store)):
        assert again is not None
        np.testing.assert_array_equal(again.decode(), first.decode())


@pytest.mark.parametrize("store", SHORT)
@given(weights=rows, gain=st.floats(0.01, 100))
# The scale of a row that the batch norm leaves below the least scale of a training's weights.
@example(weights=np.full((2, 2, 4), 127 * 2.0**-90, np.float32), gain=0.01)
@example(weights=np.full((2, 2, 4), 6.6e-25, np.float32), gain=0.015625)
def test_codes_survive_a_folded_batch_norm(
    weights: NDArray[np.float32], gain: float, store: Store
) -> None:
    first = encode(weights, store)
    scaled = (first.decode() * gain).astype(np.float32)
    found = recover(scaled, store)
    assert found is not None
    # One rounding in float32 for the fold and one for the new scale.
    np.testing.assert_allclose(found.decode(), scaled, rtol=2.0**-22, atol=0)


@pytest.mark.parametrize("store", SHORT)
@given(weights=rows, exponent=st.integers(-149, -90))
def test_a_batch_norm_that_switches_rows_off_leaves_codes(
    weights: NDArray[np.float32], exponent: int, store: Store
) -> None:
    first = encode(weights, store)
    gain = np.ones((len(weights), 1, 1), np.float32)
    gain[0] = 2.0**exponent
    scaled = (first.decode() * gain).astype(np.float32)
    found = recover(scaled, store)
    assert found is not None
    np.testing.assert_allclose(found.decode(), scaled, rtol=2.0**-22, atol=LEAST_FOLDED_WEIGHT)


@pytest.mark.parametrize("store", SHORT)
def test_weights_that_were_never_rounded_have_no_codes(store: Store) -> None:
    weights = np.random.default_rng(0).standard_normal((4, 16)).astype(np.float32)
    assert recover(weights, store) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_have_no_codes(bad: float) -> None:
    weights = np.zeros((2, 16), np.float32)
    weights[1, 3] = bad
    assert recover(weights, "int8") is None


@pytest.mark.parametrize("shape", [(5,), (64, 1, 1, 1), (64, 7)])
def test_short_rows_stay_whole(shape: tuple[int, ...]) -> None:
    assert not is_encoded(shape, "int8")
    assert recover(np.zeros(shape, np.float32), "int8") is None
    assert stored_bytes(shape, "int8") == 4 * int(np.prod(shape))


def test_bytes_are_those_of_codes_and_scales() -> None:
    weights = np.ones((6, 9), np.float32)
    for store in SHORT:
        assert encode(weights, store).nbytes == stored_bytes(weights.shape, store)
    assert stored_bytes((6, 9), "int8") == 6 * 9 + 6 * 4


def test_one_scale_a_row() -> None:
    with pytest.raises(UsageError, match="one scale a row"):
        Encoded(np.zeros((3, 9), np.int8), np.ones(2, np.float32))


def test_an_unknown_way_is_named() -> None:
    with pytest.raises(UsageError, match="fp32, fp16, int8"):
        find_store("int4")

"""Weights and biases as the integers that a quantized layer multiplies and adds.

    W[n] ~ scale[n] * codes[n]                     int8, at most the largest code in magnitude
    bias[n] ~ step * scale[n] * bias_codes[n]      int32, step: the scale of what enters

The sums of a layer are integers, in units of step * scale[n]; so is its bias.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from legoexport.lego.storage import LARGEST_CODE, Encoded, IntegerStore, recover

# Half of what 32 bits hold: the sum of the products needs the rest.
LARGEST_BIAS_CODE = 2.0**30
LEAST_SCALE = float(np.finfo(np.float32).tiny)


def encoded(
    rows: NDArray[np.floating],
    bias: NDArray[np.floating] | None,
    step: float,
    store: IntegerStore,
) -> Encoded:
    """Return the integers of a weight whose rows ``(n, ...)`` were rounded already.

    What has no codes is rounded here: rows of a few weights, and those beside whose scale the bias
    does not fit into 32 bits.

    Args:
        rows: ``(n, ...)``, what each output reads.
        bias: ``(n,)`` or None.
        step: Scale of the integers that enter.
        store: How large codes may be.
    """
    found = recover(rows, store)
    if found is not None and _fits(bias, step, found.scale):
        return found
    return encode_rows(rows.astype(np.float64), int(LARGEST_CODE[store]), bias, step)


def encode_rows(
    rows: NDArray[np.float64],
    largest_code: int,
    bias: NDArray[np.floating] | None,
    step: float,
) -> Encoded:
    """Round rows ``(n, ...)`` so that the largest entry of each becomes the largest code.

    The scale is larger where ``bias`` would not fit beside it, as in a channel without weights.
    """
    scale = row_scale(np.abs(rows.reshape(len(rows), -1)).max(axis=1), largest_code, bias, step)
    ratio = rows / scale.astype(np.float64).reshape(-1, *[1] * (rows.ndim - 1))
    return Encoded(np.clip(np.rint(ratio), -largest_code, largest_code).astype(np.int8), scale)


def row_scale(
    largest: NDArray[np.float64],
    largest_code: int,
    bias: NDArray[np.floating] | None,
    step: float,
) -> NDArray[np.float32]:
    """Return the scale ``(n,)`` of rows with these ``largest`` magnitudes."""
    scale = largest / largest_code
    if bias is not None:
        scale = np.maximum(scale, np.abs(bias.astype(np.float64)) / (step * LARGEST_BIAS_CODE))
    rounded = scale.astype(np.float32)
    # A row of zeros needs a scale, and any will do.
    return np.where(rounded < LEAST_SCALE, np.float32(1), rounded)


def bias_codes(
    bias: NDArray[np.floating], step: float, scale: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return the integers of a bias ``(n,)`` and their scales ``(n,)``."""
    unit = (step * scale.astype(np.float64)).astype(np.float32)
    codes = np.rint(bias.astype(np.float64) / unit.astype(np.float64))
    return codes.astype(np.int32), unit


def _fits(bias: NDArray[np.floating] | None, step: float, scale: NDArray[np.float32]) -> bool:
    if bias is None:
        return True
    unit = step * scale.astype(np.float64)
    return bool((np.abs(bias.astype(np.float64)) <= LARGEST_BIAS_CODE * unit).all())

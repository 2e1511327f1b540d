"""How a file holds weights: as they are, or as short codes with one scale for each row.

    W[r] = scale[r] * code[r]

A row is a filter of a bank, or what one output of a dense layer reads. The codes are int8, or
float16 with a largest magnitude of 1, so that neither the range of float16 nor the size of a layer
matters. A scale has so few significant bits that every product is exact in float32: a graph that
multiplies codes by scales gives the very weights that PyTorch has been given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError

# int7 are int8 codes up to 64 in magnitude, which files that compute in int8 may have to keep to.
Store = Literal["fp32", "fp16", "int8", "int7"]
STORES: tuple[Store, ...] = ("fp32", "fp16", "int8")
# What a file holds that computes in int8.
IntegerStore = Literal["int8", "int7"]

# The code of the largest weight in a row. x86 without VNNI adds two products of uint8 and int8 in
# 16 bits, which hold 2 * 255 * 64 but not 2 * 255 * 127.
LARGEST_CODE = {"fp16": 1.0, "int8": 127.0, "int7": 64.0}
CODE_BYTES = {"fp32": 4, "fp16": 2, "int8": 1, "int7": 1}
# Of float32's 24 bits, a code takes 11 or 7.
SCALE_BITS = {"fp16": 13, "int8": 17, "int7": 17}
# Codes times a smaller scale would leave the normal numbers; such a row is zero for every purpose.
LEAST_SCALE = 2.0**-90
# A scale of four bytes saves nothing in a shorter row.
SHORTEST_ROW = 8
# Folding a batch norm into the weights rounds each product once, and so does the scale found anew.
FOLDED_TOLERANCE = 2.0**-21
# A folded batch norm may scale a row far below LEAST_SCALE, and codes found anew need no exact
# products: they stay codes while the scale is a normal number, and a smaller row is zero.
LEAST_FOLDED_SCALE = 2.0**-126
LEAST_FOLDED_WEIGHT = 2.0**-119
MATRIX_RANK = 2


@dataclass(frozen=True)
class Encoded:
    """Weights as a file holds them.

    Attributes:
        codes: ``(r, ...)`` int8 or float16.
        scale: ``(r,)`` float32.
    """

    codes: NDArray[np.generic]
    scale: NDArray[np.float32]

    def __post_init__(self) -> None:
        if self.scale.shape != self.codes.shape[:1]:
            raise UsageError(
                "encoded weights need one scale a row",
                received=f"scales {self.scale.shape}",
                legal=f"{self.codes.shape[:1]}",
            )

    @property
    def nbytes(self) -> int:
        """Bytes of codes and scales."""
        return self.codes.nbytes + self.scale.nbytes

    def decode(self) -> NDArray[np.float32]:
        """Return the weights, as a graph computes them: one product in float32 each."""
        shape = (-1, *[1] * (self.codes.ndim - 1))
        return self.codes.astype(np.float32) * self.scale.reshape(shape)


def find_store(name: str) -> Store:
    """Return the way of storing that is called ``name``.

    Raises:
        UsageError: There is none.
    """
    stores: tuple[Store, ...] = get_args(Store)
    for store in stores:
        if store == name:
            return store
    raise UsageError("weights cannot be stored so", received=name, legal=", ".join(STORES))


def is_encoded(shape: tuple[int, ...], store: Store) -> bool:
    """Whether weights ``(r, ...)`` are held as codes: rows of a few weights stay as they are."""
    return store != "fp32" and len(shape) > 1 and int(np.prod(shape[1:])) >= SHORTEST_ROW


def stored_bytes(shape: tuple[int, ...], store: Store) -> int:
    """Return the bytes that weights ``(r, ...)`` take in a file."""
    size = int(np.prod(shape))
    if not is_encoded(shape, store):
        return size * CODE_BYTES["fp32"]
    return size * CODE_BYTES[store] + shape[0] * CODE_BYTES["fp32"]


def encode(weights: NDArray[np.floating], store: Store) -> Encoded:
    """Round weights ``(r, ...)`` to codes; to encode what was decoded gives the same once more.

    Args:
        weights: Finite weights.
        store: ``fp16`` or ``int8``.
    """
    scale = _largest(weights) / LARGEST_CODE[store]
    mantissa, exponent = np.frexp(scale)
    # Rounding down keeps the largest code where it belongs: 127.0005 and 1.0001 round to it.
    kept = np.ldexp(np.floor(np.ldexp(mantissa, SCALE_BITS[store])), exponent - SCALE_BITS[store])
    return _with_scale(weights, np.where(kept < LEAST_SCALE, 1.0, kept), store)


def recover(weights: NDArray[np.floating], store: Store) -> Encoded | None:
    """Find the codes of weights that were decoded, and may have been scaled row by row since.

    Returns:
        None if there are none: some weight would change by more than rounding in float32.
    """
    if not is_encoded(weights.shape, store) or not np.isfinite(weights).all():
        return None
    scale = (_largest(weights) / LARGEST_CODE[store]).astype(np.float32).astype(np.float64)
    found = _with_scale(weights, np.where(scale < LEAST_FOLDED_SCALE, 1.0, scale), store)
    error = np.abs(found.decode().astype(np.float64) - weights)
    legal = FOLDED_TOLERANCE * np.abs(weights) + LEAST_FOLDED_WEIGHT
    return found if (error <= legal).all() else None


def recover_weight(weight: NDArray[np.floating], store: Store) -> tuple[Encoded, int] | None:
    """Find the codes of a weight as it lies in a graph, where MatMul reads a matrix transposed.

    Returns:
        The codes, row by row, and the axis of the weight that its rows lie along; None if it has
        no codes.
    """
    if found := recover(weight, store):
        return found, 0
    if weight.ndim == MATRIX_RANK and (found := recover(weight.T, store)):
        return found, 1
    return None


def _largest(weights: NDArray[np.floating]) -> NDArray[np.float64]:
    largest: NDArray[np.float64] = np.abs(weights).reshape(len(weights), -1).max(axis=1)
    return largest.astype(np.float64)


def _with_scale(weights: NDArray[np.floating], scale: NDArray[np.float64], store: Store) -> Encoded:
    ratio = weights.astype(np.float64) / scale.reshape(-1, *[1] * (weights.ndim - 1))
    codes = ratio.astype(np.float16) if store == "fp16" else np.rint(ratio).astype(np.int8)
    return Encoded(codes, scale.astype(np.float32))

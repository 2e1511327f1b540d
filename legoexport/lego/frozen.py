"""FrozenLego: one Lego layer with its masks turned into index tables.

Every stage after freezing passes this value on; it checks itself on construction, so no later stage
has to.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.lego.geometry import conv_output_size

FloatArray = NDArray[np.floating[Any]]
IndexArray = NDArray[np.int64]


@dataclass(frozen=True)
class Selection:
    """The (fragment, filter) pairs that some output uses, and where each output finds its own.

    Attributes:
        filters: For each of the o fragments, the sorted Lego filters it uses, int64.
        position: ``(o, n)`` int64, ``filters[i][position[i, n]] == index[i, n]``.
    """

    filters: tuple[IndexArray, ...]
    position: IndexArray

    @property
    def pair_count(self) -> int:
        """Number of intermediate maps that must be computed, at most o * m."""
        return sum(len(used) for used in self.filters)


@dataclass(frozen=True, eq=False)
class FrozenLego:
    """One frozen Lego layer (LegoNet, Eq. 3-5).

    With ``I[i, j] = conv(X_i, lego[j])`` for o fragments ``X_i`` of the input channels::

        Y[n] = sum_i coefficient[i, n] * I[i, index[i, n]] + bias[n]

    Attributes:
        lego: ``(m, c/o, kh, kw)`` float32, the bank of Lego filters.
        index: ``(o, n)`` int64, values in ``[0, m)``.
        coefficient: ``(o, n)`` float32.
        bias: ``(n,)`` float32 or None.
        stride: ``(vertical, horizontal)`` in pixels.
        padding: Zeros added on ``(each vertical side, each horizontal side)`` in pixels.
        dilation: ``(vertical, horizontal)`` in pixels.

    Raises:
        UsageError: A shape, dtype, index or geometry that no Lego layer can have.
    """

    lego: FloatArray
    index: IndexArray
    coefficient: FloatArray
    bias: FloatArray | None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        self._check_ranks()
        self._check_values()
        for array in (self.lego, self.index, self.coefficient, self.bias):
            if array is not None:
                array.setflags(write=False)

    def _check_ranks(self) -> None:
        if self.lego.ndim != 4 or 0 in self.lego.shape:  # noqa: PLR2004
            raise UsageError("lego bank must have shape (m, c/o, kh, kw)", received=self.lego.shape)
        if self.index.ndim != 2 or self.index.dtype != np.int64 or 0 in self.index.shape:  # noqa: PLR2004
            raise UsageError(
                "index must be int64 of shape (o, n)",
                received=f"{self.index.dtype} {self.index.shape}",
            )
        if self.coefficient.shape != self.index.shape:
            raise UsageError(
                "coefficient must have the shape of index",
                received=self.coefficient.shape,
                legal=self.index.shape,
            )
        if self.bias is not None and self.bias.shape != (self.n,):
            raise UsageError(
                "bias must have one entry per output channel",
                received=self.bias.shape,
                legal=(self.n,),
            )
        for name in ("lego", "coefficient", "bias"):
            array = getattr(self, name)
            if array is not None and array.dtype != np.float32:
                raise UsageError(f"{name} must be float32", received=array.dtype)

    def _check_values(self) -> None:
        if self.index.min() < 0 or self.index.max() >= self.m:
            raise UsageError(
                "index names a Lego filter that is not in the bank",
                received=f"{self.index.min()}..{self.index.max()}",
                legal=f"0..{self.m - 1}",
            )
        for name, minimum in (("stride", 1), ("padding", 0), ("dilation", 1)):
            pair = getattr(self, name)
            if len(pair) != 2 or min(pair) < minimum:  # noqa: PLR2004
                raise UsageError(f"{name} must be two integers >= {minimum}", received=pair)
        for name in ("lego", "coefficient", "bias"):
            array = getattr(self, name)
            if array is not None and not np.isfinite(array).all():
                raise UsageError(f"{name} holds NaN or infinite values")

    @property
    def o(self) -> int:
        """Number of input fragments."""
        return int(self.index.shape[0])

    @property
    def m(self) -> int:
        """Number of Lego filters in the bank."""
        return int(self.lego.shape[0])

    @property
    def n(self) -> int:
        """Number of output channels."""
        return int(self.index.shape[1])

    @property
    def c(self) -> int:
        """Number of input channels."""
        return self.o * int(self.lego.shape[1])

    @property
    def kernel(self) -> tuple[int, int]:
        """Kernel size ``(kh, kw)``."""
        return int(self.lego.shape[2]), int(self.lego.shape[3])

    @cached_property
    def selection(self) -> Selection:
        """The (fragment, filter) pairs in use."""
        used = tuple(np.unique(row) for row in self.index)
        position = np.stack(
            [np.searchsorted(filters, row) for filters, row in zip(used, self.index, strict=True)]
        )
        return Selection(used, position.astype(np.int64))

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Output ``(height, width)`` in pixels for an input of that size."""
        return conv_output_size(
            (height, width),
            kernel=self.kernel,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
        )

    def dense_weight(self) -> NDArray[np.float64]:
        """Weight of the equal dense convolution, ``(n, c, kh, kw)`` float64.

        ``W[n, fragment i] = coefficient[i, n] * lego[index[i, n]]``.
        """
        chosen = self.lego.astype(np.float64)[self.index]
        weighted = self.coefficient.astype(np.float64)[:, :, None, None, None] * chosen
        return weighted.transpose(1, 0, 2, 3, 4).reshape(self.n, self.c, *self.kernel)

    def mask_digest(self) -> str:
        """SHA-256 of the choices, hexadecimal: equal digests mean equal masks."""
        header = np.array([self.o, self.n, self.m], dtype="<i8").tobytes()
        return hashlib.sha256(header + self.index.astype("<i8").tobytes()).hexdigest()

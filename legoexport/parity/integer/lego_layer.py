"""IntegerLego: a Lego layer in integers, from its tables and the scales around it alone.

Assembled (``int8_dense``), its weight is that of one convolution. Split (all other lowerings), its
maps I[i, j] are integers too, and a map that ONNX Runtime may have rounded to either side of a tie
moves the sums of the merge by at most the code that multiplies it::

    I[i, j] = clip(round(conv(x - zero_x, code[j]) * scale_x * w[i, j] / scale_I) + zero_I, ...)
    k[i, n] = coefficient[i, n] * scale[j] / w[i, j]  ~  row_scale[n] * merge_code[i, n]
    y[n]    = clip(round((sum_i merge_code[i, n] * (I[i, index[i, n]] - zero_I) + bias) * ...))
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.lego.frozen import FrozenLego
from legoexport.lego.scales import Affine
from legoexport.parity.integer.arithmetic import (
    Accepted,
    Integers,
    Reals,
    Window,
    convolve,
    requantize,
)
from legoexport.parity.integer.dense_layer import IntegerDense, rounded_scale, row_scale

ASSEMBLED = "int8_dense"
POINTWISE = Window.symmetric((1, 1), (0, 0), (1, 1))


@dataclass(frozen=True, eq=False)
class IntegerLego:
    """A Lego layer whose bank was rounded to integers.

    Attributes:
        frozen: Its tables; the bank holds the rounded weights.
        x: Integers of the input.
        maps: ``(pairs,)`` float32 weight scales of the intermediate maps; None where the layer is
            assembled.
        largest_code: The largest integer of a weight.
    """

    frozen: FrozenLego
    x: Affine
    maps: NDArray[np.float32] | None
    largest_code: int

    def expected(self, x_q: NDArray[Any], y: Affine) -> Accepted:
        """Return the output for integers ``x_q (N, c, h, w)``."""
        if self.maps is None:
            return self._assembled().expected(x_q, self.x, y)
        map_affine = Affine.of_range(-1, 1, self.x.dtype)
        maps = self._maps(x_q, self.maps, map_affine)
        merge = self._merge(self.maps, map_affine)
        sums, bias_doubt = merge.sums(maps.nearest, map_affine)
        # Each entry in doubt counts with the size of its code, whichever way it went.
        doubt = convolve(maps.doubt, np.abs(merge.codes), POINTWISE) + bias_doubt
        factor = map_affine.scale * merge.scale.astype(np.float64) / y.scale
        return requantize(sums, factor, doubt, y)

    @property
    def _bias(self) -> Reals:
        bias = self.frozen.bias
        return np.zeros(self.frozen.n) if bias is None else bias.astype(np.float64)

    def _bank(self) -> tuple[Integers, Reals]:
        """Return codes ``(m, c', kh, kw)`` and scales ``(m,)`` of the bank."""
        rows, no_bias = self.frozen.lego.astype(np.float64), np.zeros(self.frozen.m)
        scale = rounded_scale(rows, no_bias, self.x.scale, self.largest_code)
        bank = IntegerDense.scaled(rows, scale, no_bias, None)
        return bank.codes, scale.astype(np.float64)

    def _assembled(self) -> IntegerDense:
        """Return the one convolution that the layer equals, its weight rounded again."""
        frozen = self.frozen
        codes, scale = self._bank()
        # (o, n): what multiplies a code, and the codes that it multiplies.
        weighted = frozen.coefficient.astype(np.float64) * scale[frozen.index]
        largest = np.abs(codes).reshape(frozen.m, -1).max(axis=1)[frozen.index]
        magnitude = (np.abs(weighted) * largest).max(axis=0)
        rows = row_scale(magnitude, self._bias, self.x.scale, self.largest_code)
        share = (weighted / rows.astype(np.float64)).astype(np.float32)
        chosen = codes.astype(np.float32)[frozen.index] * share[:, :, None, None, None]
        rounded = np.clip(np.rint(chosen), -self.largest_code, self.largest_code)
        weight = rounded.transpose(1, 0, 2, 3, 4).reshape(frozen.n, frozen.c, *frozen.kernel)
        window = Window.symmetric(frozen.stride, frozen.padding, frozen.dilation)
        return IntegerDense(weight.astype(np.int64), rows, self._bias, window)

    def _maps(self, x_q: NDArray[Any], maps: NDArray[np.float32], affine: Affine) -> Accepted:
        """Return the maps of all used pairs ``(N, pairs, h, w)``, fragment after fragment."""
        frozen, (codes, _) = self.frozen, self._bank()
        centred = x_q.astype(np.int64) - self.x.zero_point
        window = Window.symmetric(frozen.stride, frozen.padding, frozen.dilation)
        fragments = np.split(centred, frozen.o, axis=1)
        sums = [
            convolve(fragment, codes[used], window)
            for fragment, used in zip(fragments, frozen.selection.filters, strict=True)
        ]
        factor = self.x.scale * maps.astype(np.float64) / affine.scale
        return requantize(np.concatenate(sums, axis=1), factor, 0.0, affine)

    def _merge(self, maps: NDArray[np.float32], affine: Affine) -> IntegerDense:
        """Return the merge as a pointwise convolution over the maps of all used pairs."""
        frozen, (_, scale) = self.frozen, self._bank()
        counts = [len(used) for used in frozen.selection.filters]
        pair = frozen.selection.position + np.cumsum([0, *counts[:-1]])[:, None]
        weighted = frozen.coefficient.astype(np.float64) * scale[frozen.index]
        k = weighted / maps.astype(np.float64)[pair]
        # Two fragments never share a pair, so every entry of a row is one coefficient or zero.
        rows = np.zeros((frozen.n, len(maps), 1, 1))
        rows[np.arange(frozen.n)[None, :], pair, 0, 0] = k
        largest = np.abs(k).max(axis=0)
        row_scales = row_scale(largest, self._bias, affine.scale, self.largest_code)
        return IntegerDense.scaled(rows, row_scales, self._bias, POINTWISE)

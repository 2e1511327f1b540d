"""Independent float64 numpy forms of what legoexport computes, straight from the definitions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from legoexport.lego.frozen import FrozenLego

Array = NDArray[np.float64]


def convolve(
    x: Array,
    weight: Array,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> Array:
    """Cross-correlation of (b, c, h, w) with (n, c, kh, kw), tap by tap."""
    (ph, pw), (sh, sw), (dh, dw) = padding, stride, dilation
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    kh, kw = weight.shape[2:]
    height = (padded.shape[2] - dh * (kh - 1) - 1) // sh + 1
    width = (padded.shape[3] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((x.shape[0], weight.shape[0], height, width))
    for row in range(kh):
        for column in range(kw):
            top, left = row * dh, column * dw
            window = padded[:, :, top : top + sh * height : sh, left : left + sw * width : sw]
            y += np.einsum(
                "bchw,nc->bnhw", window[:, :, :height, :width], weight[:, :, row, column]
            )
    return y


def split_transform_merge(x: Array, frozen: FrozenLego) -> Array:
    """Y[n] = sum_i coefficient[i, n] * I[i, index[i, n]] + bias[n], literally."""
    lego = frozen.lego.astype(np.float64)
    geometry = (frozen.stride, frozen.padding, frozen.dilation)
    fragments = np.split(x.astype(np.float64), frozen.o, axis=1)
    maps = [convolve(fragment, lego, *geometry) for fragment in fragments]
    y = np.zeros((x.shape[0], frozen.n, *maps[0].shape[2:]))
    for n in range(frozen.n):
        for i in range(frozen.o):
            y[:, n] += float(frozen.coefficient[i, n]) * maps[i][:, frozen.index[i, n]]
        if frozen.bias is not None:
            y[:, n] += float(frozen.bias[n])
    return y


def rounding_scale(x: Array, frozen: FrozenLego) -> float:
    """The largest sum of absolute products behind any output: float32 errors are relative to it."""
    size = split_transform_merge(
        np.abs(x),
        FrozenLego(
            np.abs(frozen.lego),
            frozen.index.copy(),
            np.abs(frozen.coefficient),
            None if frozen.bias is None else np.abs(frozen.bias),
            frozen.stride,
            frozen.padding,
            frozen.dilation,
        ),
    )
    return float(size.max())

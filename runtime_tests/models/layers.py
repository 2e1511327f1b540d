"""Random LegoConv2d layers of any geometry, and gradients from their definitions in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

from legoexport.lego.frozen import FrozenLego
from legoexport.models.lego_conv import LegoConv2d
from runtime_tests.layers import LayerCase, layer_cases
from runtime_tests.reference import Array, convolve


@dataclass(frozen=True)
class TrainingCase:
    """A layer in training form (float64), the same layer as tables, and an input for both."""

    layer: LegoConv2d
    frozen: FrozenLego
    x: Array


@st.composite
def training_cases(draw: st.DrawFn) -> TrainingCase:
    """Every table around the chosen entries is random too, so that wrong picks show."""
    case: LayerCase = draw(layer_cases(kernels=(1, 2, 3)))
    frozen = case.frozen
    coefficients = draw(st.booleans())
    if not coefficients:
        ones = np.ones_like(frozen.coefficient)
        geometry = (frozen.stride, frozen.padding, frozen.dilation)
        frozen = FrozenLego(frozen.lego, frozen.index, ones, frozen.bias, *geometry)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layer = training_form(frozen, rng, coefficients=coefficients)
    return TrainingCase(layer, frozen, case.x.astype(np.float64))


def training_form(
    frozen: FrozenLego, rng: np.random.Generator, *, coefficients: bool
) -> LegoConv2d:
    """The layer whose masks choose ``frozen.index``."""
    layer = LegoConv2d(
        frozen.c,
        frozen.n,
        frozen.kernel,
        o=frozen.o,
        m=frozen.m,
        stride=frozen.stride,
        padding=frozen.padding,
        dilation=frozen.dilation,
        bias=frozen.bias is not None,
        coefficients=coefficients,
    ).double()
    table = (frozen.o, frozen.n, frozen.m)
    logits, values = rng.standard_normal(table), rng.standard_normal(table)
    chosen = frozen.index[:, :, None]
    np.put_along_axis(logits, chosen, logits.max() + 1, axis=2)
    np.put_along_axis(values, chosen, frozen.coefficient[:, :, None], axis=2)
    tensors = {"lego": frozen.lego, "mask_logits": logits, "coefficients": values}
    tensors["bias"] = np.zeros(0) if frozen.bias is None else frozen.bias
    names = [name for name, _ in layer.named_parameters()]
    layer.load_state_dict({name: torch.tensor(tensors[name]) for name in names})
    return layer


@dataclass(frozen=True)
class Gradients:
    """Of the sum of ``upstream * y``, by the definition of a Lego layer."""

    mask: Array
    coefficients: Array
    lego: Array
    bias: Array


def gradients(case: TrainingCase, upstream: Array) -> Gradients:
    """With y[n] = sum_ij coefficient[i, n, j] * mask[i, n, j] * I[i, j], each factor in turn."""
    frozen = case.frozen
    geometry = (frozen.stride, frozen.padding, frozen.dilation)
    fragments = np.split(case.x, frozen.o, axis=1)
    maps = [convolve(fragment, frozen.lego.astype(float), *geometry) for fragment in fragments]
    # projection[i, n, j] = <upstream[n], I[i, j]>
    projection = np.stack([np.einsum("bnhw,bjhw->nj", upstream, each) for each in maps])
    mask = np.eye(frozen.m)[frozen.index]
    values = coefficient_table(case)
    return Gradients(
        mask=projection * values,
        coefficients=projection * mask,
        lego=_lego_gradient(fragments, upstream, mask * values, frozen),
        bias=upstream.sum(axis=(0, 2, 3)),
    )


def coefficient_table(case: TrainingCase) -> Array:
    """All coefficients, ``(o, n, m)``."""
    table = case.layer.coefficients
    if table is None:
        return np.ones((case.frozen.o, case.frozen.n, case.frozen.m))
    return table.detach().numpy()


def _lego_gradient(
    fragments: list[Array], upstream: Array, table: Array, frozen: FrozenLego
) -> Array:
    """Each tap of filter j meets, in every fragment, what its outputs send back through it."""
    (ph, pw), (sh, sw), (dh, dw) = frozen.padding, frozen.stride, frozen.dilation
    height, width = upstream.shape[2:]
    result = np.zeros(frozen.lego.shape)
    for i, fragment in enumerate(fragments):
        padded = np.pad(fragment, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
        back = np.einsum("bnhw,nj->bjhw", upstream, table[i])
        for row in range(frozen.kernel[0]):
            for column in range(frozen.kernel[1]):
                rows = slice(row * dh, row * dh + sh * (height - 1) + 1, sh)
                columns = slice(column * dw, column * dw + sw * (width - 1) + 1, sw)
                window = padded[:, :, rows, columns]
                result[:, :, row, column] += np.einsum("bjhw,bchw->jc", back, window)
    return result

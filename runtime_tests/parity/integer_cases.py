"""Lego layers in integers, beside graphs of them that are written by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from legoexport.lego.scales import ActivationType, Affine
from legoexport.parity.integer.check import IntegerAgreement, compare
from legoexport.parity.integer.lego_layer import IntegerLego
from runtime_tests.layers import LayerCase, random_frozen
from runtime_tests.parity.qdq import EXACT, assembled_model, run, split_model

X = Affine.of_range(-2, 3, "uint8")
CASE = LayerCase(
    random_frozen(np.random.default_rng(3), o=3, n=14, pool_size=3, padding=(1, 1)),
    np.random.default_rng(4).standard_normal((2, 9, 9, 8)).astype(np.float32),
)


def range_of(real: NDArray[Any], dtype: ActivationType) -> Affine:
    """The integers of a value of which some entries lie beyond what they reach."""
    return Affine.of_range(0.9 * float(real.min()), 0.9 * float(real.max()) + 1e-3, dtype)


def of_lego(
    case: LayerCase, largest: int, *, assembled: bool
) -> tuple[IntegerLego, Affine, onnx.ModelProto]:
    """A layer, its output's integers and the graph of it."""
    frozen, size = case.frozen, case.x.shape[2:]
    rng = np.random.default_rng(0)
    real = F.conv2d(
        torch.from_numpy(case.x.astype(np.float64)),
        torch.from_numpy(frozen.dense_weight()),
        None if frozen.bias is None else torch.from_numpy(frozen.bias.astype(np.float64)),
        frozen.stride,
        frozen.padding,
        frozen.dilation,
    ).numpy()
    y = range_of(real, "uint8")
    if assembled:
        layer = IntegerLego(frozen, X, None, largest)
        return layer, y, assembled_model(frozen, (X, y), largest, size)
    scale = (np.abs(frozen.lego).reshape(frozen.m, -1).max(axis=1) / largest).tolist()
    used = [j for row in frozen.index for j in sorted(set(row.tolist()))]
    taps = frozen.lego[0].size
    maps = np.array([scale[j] / (3 * taps * rng.uniform(0.05, 1)) for j in used], np.float32)
    layer = IntegerLego(frozen, X, maps, largest)
    return layer, y, split_model(frozen, maps, (X, y), largest, size)


def check(
    layer: IntegerLego, y: Affine, model: onnx.ModelProto, x: NDArray[np.float32]
) -> IntegerAgreement:
    values = run(model, EXACT, x=x)
    expected = layer.expected(values["x_quantized"], y)
    return compare("layer", "lego", expected, values["y_quantized"])

"""The layers of a SmallNet that computes in int8, in float64 straight from the definitions."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from legoexport.lego.frozen import FrozenLego
from legoexport.lego.scales import LIMITS, Affine
from legoexport.passes import lego_op
from runtime_tests.quantize.int8_network import Int8Network
from runtime_tests.reference import Array, convolve

LARGEST_CODE = 64  # of target cpu
MAPS = Affine.of_range(-1, 1, "uint8")
STEM, CLASSIFIER = "node_Conv_28", "node_linear"
LEGO = ("first", "second", "third")
# The activations before and after each layer, as the graph calls them.
VALUES = {
    STEM: ("input", "relu"),
    "first": ("relu", "relu_1"),
    "second": ("relu_1", "relu_2"),
    "third": ("relu_2", "relu_3"),
    CLASSIFIER: ("mean", None),
}
Layer = Callable[[Array], Array]


def trained_layers(module: nn.Module) -> dict[str, Layer]:
    """Each layer of a SmallNet in float64 as PyTorch has it, with the ReLU behind it."""
    net = copy.deepcopy(module).double().eval()
    one = net.get_submodule
    chains = {
        STEM: [one("stem"), one("stem_norm"), nn.ReLU()],
        "first": [one("first"), one("first_norm"), nn.ReLU()],
        "second": [one("second"), nn.ReLU()],
        "third": [one("third"), one("third_norm"), nn.ReLU()],
        CLASSIFIER: [one("classifier")],
    }
    return {name: _layer(nn.Sequential(*chain)) for name, chain in chains.items()}


def _layer(module: nn.Module) -> Layer:
    def run(x: Array) -> Array:
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(x)).numpy(), np.float64)

    return run


def activations(layers: dict[str, Layer], x: Array) -> dict[str, tuple[Array, Array]]:
    """What enters and what leaves each layer."""
    found = {}
    for name, layer in layers.items():
        x = x.mean(axis=(2, 3)) if name == CLASSIFIER else x
        found[name] = (x, layer(x))
        x = found[name][1]
    return found


def rounded(x: Array, affine: Affine | None) -> Array:
    if affine is None:
        return x
    steps = np.clip(np.rint(x / affine.scale) + affine.zero_point, *LIMITS[affine.dtype])
    return np.asarray((steps - affine.zero_point) * affine.scale, np.float64)


def row_codes(rows: Array) -> tuple[Array, Array]:
    """The codes and the scales of rows whose largest entries become the largest code."""
    scale = np.abs(rows).reshape(len(rows), -1).max(axis=1) / LARGEST_CODE
    shaped = scale.reshape(-1, *[1] * (rows.ndim - 1))
    return np.rint(rows / shaped), shaped


def bias_of(frozen: FrozenLego, unit: Array) -> Array:
    """The bias ``(n, 1, 1)``, rounded to whole ``unit``."""
    bias = np.zeros(frozen.n) if frozen.bias is None else frozen.bias.astype(np.float64)
    unit = unit.reshape(-1)
    return np.asarray(np.rint(bias / unit) * unit, np.float64)[:, None, None]


def by_dense(frozen: FrozenLego, step: float, x: Array) -> Array:
    blocks = [
        frozen.coefficient[i, :, None, None, None] * frozen.lego.astype(np.float64)[row]
        for i, row in enumerate(frozen.index)
    ]
    codes, scale = row_codes(np.concatenate(blocks, axis=1))
    sums = convolve(x, codes * scale, frozen.stride, frozen.padding, frozen.dilation)
    return np.maximum(sums + bias_of(frozen, step * scale), 0)


def by_maps(
    frozen: FrozenLego, map_scale: NDArray[np.float32], x: Array, maps: Affine | None
) -> Array:
    bank, bank_scale = row_codes(frozen.lego.astype(np.float64))
    geometry = (frozen.stride, frozen.padding, frozen.dilation)
    first, k, chosen = 0, np.zeros((frozen.n, frozen.o)), []
    for i, fragment in enumerate(np.split(x, frozen.o, axis=1)):
        used = frozen.selection.filters[i]
        scale = map_scale.astype(np.float64)[first : first + len(used)]
        made = convolve(fragment, bank[used] * scale[:, None, None, None], *geometry)
        place = np.searchsorted(used, frozen.index[i])
        ratio = bank_scale.ravel()[frozen.index[i]] / scale[place]
        k[:, i] = frozen.coefficient[i].astype(np.float64) * ratio
        chosen.append(rounded(made, maps)[:, place])
        first += len(used)
    codes, row_scale = row_codes(k)
    weights = (codes * row_scale)[:, :, None, None]
    sums = sum(one * weights[:, i] for i, one in enumerate(chosen))
    return np.maximum(sums + bias_of(frozen, MAPS.scale * row_scale), 0)


def rounded_lego(network: Int8Network, layer: str, lowering: str, *, exact: bool) -> Layer:
    """A Lego layer with the weights of the file, with its maps as they are or as integers."""
    (frozen,) = (
        node.frozen for node in lego_op.find(network.prepared.model.graph) if node.layer == layer
    )
    if lowering == "int8_dense":
        step = network.scales.activations[VALUES[layer][0]].scale
        return lambda x: by_dense(frozen, step, x)
    scale = network.scales.maps[layer]
    return lambda x: by_maps(frozen, scale, x, None if exact else MAPS)


def rounded_dense(module: nn.Module, name: str) -> Layer:
    """A dense layer of the trained network with the codes of its own weight."""
    copied = copy.deepcopy(module).double().eval()
    layer = copied.get_submodule("stem" if name == STEM else "classifier")
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    with torch.no_grad():
        codes, scale = row_codes(layer.weight.numpy())
        layer.weight.copy_(torch.from_numpy(codes * scale))
    return trained_layers(copied)[name]

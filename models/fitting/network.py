"""A whole network from dense to Lego: fitted layers, and everything else copied."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from legoexport.errors import UsageError
from legoexport.models.fitting.cluster import FitOptions
from legoexport.models.fitting.layer import LayerFit, fit_layer
from legoexport.models.lego_conv import LegoConv2d

FITTED = ("lego", "coefficients", "mask_logits")
_LISTED_COUNT = 5


def fit_network(
    lego: nn.Module,
    dense: nn.Module,
    options: FitOptions | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> tuple[LayerFit, ...]:
    """Give a LegoNet the weights of a dense network, as closely as its Lego layers can.

    Args:
        lego: The network to fill, in place: a registered architecture, or the result of ``legofy``
            on ``dense``.
        dense: The trained network; layers are found by their dotted names.
        options: How long to look for good banks.
        progress: Called with the name of each layer before it is fitted.

    Returns:
        How well each Lego layer came out, in module order.

    Raises:
        UsageError: The networks do not have the same layers.
        CheckpointError: A dense weight is NaN or infinite.
    """
    layers = {name: each for name, each in lego.named_modules() if isinstance(each, LegoConv2d)}
    if not layers:
        raise UsageError("the network to fill has no Lego layers")
    sources = {name: _dense_layer(dense, name, layer) for name, layer in layers.items()}
    _copy_rest(lego, dense)
    fits = []
    for name, layer in layers.items():
        progress(f"fitting {name}")
        fits.append(fit_layer(layer, sources[name].weight, name, options or FitOptions()))
    return tuple(fits)


def _dense_layer(dense: nn.Module, name: str, layer: LegoConv2d) -> nn.Conv2d:
    modules = dict(dense.named_modules(remove_duplicate=False))
    found = modules.get(name)
    legal = f"a convolution {_geometry(layer)}"
    if not isinstance(found, nn.Conv2d):
        received = "nothing" if found is None else type(found).__name__
        raise UsageError(f"the dense network at layer {name}", received=received, legal=legal)
    if _geometry(found) != _geometry(layer) or found.groups != 1:
        raise UsageError(f"the dense layer {name}", received=_geometry(found), legal=legal)
    return found


def _geometry(layer: nn.Conv2d | LegoConv2d) -> str:
    """What decides the shape of the weights."""
    height, width = layer.kernel_size
    return f"{layer.in_channels} -> {layer.out_channels}, {height}x{width}"


@torch.no_grad()
def _copy_rest(lego: nn.Module, dense: nn.Module) -> None:
    every = lego.named_modules(remove_duplicate=False)  # a shared layer has a weight by each name
    fitted = {name for name, each in every if isinstance(each, LegoConv2d)}
    own = {
        name: tensor
        for name, tensor in lego.state_dict().items()
        if not (name.rpartition(".")[0] in fitted and name.rpartition(".")[2] in FITTED)
    }
    theirs = dense.state_dict()
    wrong = [
        name
        for name, tensor in own.items()
        if name not in theirs or theirs[name].shape != tensor.shape
    ]
    if wrong:
        raise UsageError(
            "the dense network lacks weights of the LegoNet, or has them in another shape",
            received=", ".join(wrong[:_LISTED_COUNT]),
            next_step="build both from the same architecture and hyper-parameters",
        )
    for name, tensor in own.items():
        tensor.copy_(theirs[name])

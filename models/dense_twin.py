"""The dense twin: the same function with ordinary convolutions."""

from __future__ import annotations

import copy

import torch
from torch import nn

from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.replace_layers import replace_layers


def expand_lego(module: nn.Module) -> nn.Module:
    """Return a copy of ``module`` whose Lego layers are convolutions with the assembled weights."""
    twin = copy.deepcopy(module)
    layers = [layer for layer in twin.modules() if isinstance(layer, LegoConv2d)]
    return replace_layers(twin, {layer: expand_layer(layer) for layer in layers})


@torch.no_grad()
def expand_layer(layer: LegoConv2d) -> nn.Conv2d:
    """Return the ordinary convolution that computes what ``layer`` computes."""
    conv = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        layer.padding,
        layer.dilation,
        bias=layer.bias is not None,
        device=layer.lego.device,
        dtype=layer.lego.dtype,
    )
    conv.weight.copy_(layer.weight())
    if conv.bias is not None and layer.bias is not None:
        conv.bias.copy_(layer.bias)
    return conv.train(layer.training)

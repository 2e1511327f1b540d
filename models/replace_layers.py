"""Put other layers in the place of some of a network's, wherever they stand."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn


def replace_layers(network: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Replace layers in place, under every name that they have: a shared layer stays shared.

    Args:
        network: The network; it is changed, unless it is itself a layer to replace.
        replacements: What to put in the place of which layer.

    Returns:
        The network, or what takes its place.
    """
    if network in replacements:
        return replacements[network]
    for name, layer in list(network.named_modules(remove_duplicate=False)):
        if layer in replacements:
            parent, _, child = name.rpartition(".")
            setattr(network.get_submodule(parent), child, replacements[layer])
    return network

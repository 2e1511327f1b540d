"""Round the weights of a network to what a file will hold of them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from legoexport.lego.storage import Store, encode, is_encoded
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.plain_copy import plain_copy

DENSE_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def round_weights(module: nn.Module, store: Store) -> nn.Module:
    """Return a plain copy of ``module`` with the weights that the file will compute with.

    Banks of Lego layers and weights of dense layers are rounded, row by row. Coefficients, biases
    and batch norms stay, and so do weights that are not finite, which freezing names.

    Args:
        module: The network, in any mode; it is left as it is.
        store: How the file holds weights; with ``fp32`` nothing is rounded.

    Raises:
        UsageError: The network cannot be copied.
    """
    if store == "fp32":
        return module
    rounded = plain_copy(module)
    for name, weights in weights_of(rounded).items():
        if is_encoded(tuple(weights.shape), store) and weights.isfinite().all():
            _round_in_place(rounded.get_parameter(name), store)
    return rounded


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the banks and dense weights of a plain network by the names of their parameters."""
    found: dict[str, Tensor] = {}
    for name, layer in module.named_modules():
        prefix = f"{name}." if name else ""
        if isinstance(layer, LegoConv2d):
            found[f"{prefix}lego"] = layer.lego.detach()
        elif isinstance(layer, DENSE_LAYERS) and isinstance(layer.weight, nn.Parameter):
            found[f"{prefix}weight"] = layer.weight.detach()
    return found


@torch.no_grad()
def _round_in_place(weights: nn.Parameter, store: Store) -> None:
    weights.copy_(torch.from_numpy(encode(weights.numpy(force=True), store).decode()))

"""The masks of a network: balanced while they are learned, counted, frozen."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn

from legoexport.models.lego_conv import LegoConv2d


def lego_layers(module: nn.Module) -> Iterator[LegoConv2d]:
    """Yield the Lego layers of ``module``."""
    return (layer for layer in module.modules() if isinstance(layer, LegoConv2d))


def freeze_masks(module: nn.Module) -> None:
    """Stop learning the masks of every Lego layer."""
    for layer in lego_layers(module):
        layer.freeze_masks()


def choices(module: nn.Module) -> list[Tensor]:
    """Return what every mask of the network chooses, ``(o, n)`` int64 each."""
    return [layer.choices() for layer in lego_layers(module)]


def count_changed(before: list[Tensor], after: list[Tensor]) -> int:
    """Count the mask entries that chose another filter before."""
    return sum(int((old != new).sum()) for old, new in zip(before, after, strict=True))


@contextlib.contextmanager
def balanced(module: nn.Module, weight: float) -> Iterator[None]:
    """Add the published balance term to the masks that are being learned, within the block."""
    handles = [
        layer.balance_masks(weight)
        for layer in lego_layers(module)
        if weight and layer.mask_logits.requires_grad
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()

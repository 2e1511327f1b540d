"""The network with what a file adds to its ends: pixels before it, probabilities behind it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from legoexport.lego.normalization import Normalization
from legoexport.lego.output_form import SCORES


class PixelNetwork(nn.Module):
    """A network behind the normalization of its training.

    Args:
        network: It takes normalised images ``(b, c, h, w)``.
        normalization: Of the pictures in training, one number a channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, normalization: Normalization) -> None:
        super().__init__()
        self.network = network
        mean, std = (
            torch.from_numpy(one).float().reshape(1, -1, 1, 1) for one in normalization.grey_levels
        )
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, image: Tensor) -> object:
        """Map pixels ``(b, h, w, c)`` to what the network gives, computed in its own precision."""
        pixels = image.permute(0, 3, 1, 2).to(self.mean.dtype)
        return self.network((pixels - self.mean) / self.std)


class ProbabilityNetwork(nn.Module):
    """A network and the softmax of its scores.

    Args:
        network: It gives scores ``(b, classes)``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Map an image to probabilities ``(b, classes)``."""
        scores: Tensor = self.network(image)
        return scores.softmax(dim=1)


def with_ends(network: nn.Module, pixels: Normalization | None, output: str) -> nn.Module:
    """Return what a file is held to: all probabilities for one that gives the likeliest classes.

    Args:
        network: The network itself.
        pixels: How the file normalises the pixels that it takes; None if it takes tensors.
        output: What the file gives.
    """
    whole = from_pixels(network, pixels)
    return whole if output == SCORES else ProbabilityNetwork(whole)


def from_pixels(network: nn.Module, pixels: Normalization | None) -> nn.Module:
    """Return ``network`` behind a normalization, or as it is where there is none."""
    return network if pixels is None else PixelNetwork(network, pixels)

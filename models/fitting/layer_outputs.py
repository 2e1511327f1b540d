"""One Lego layer fitted to the outputs of the dense layer that it replaces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from legoexport.models.fitting.description import Description, fragment_gains, reassign, refit
from legoexport.models.fitting.layer import LEAD, SPREAD
from legoexport.models.fitting.output_error import OutputError
from legoexport.models.lego_conv import LegoConv2d

FEWEST_AT_A_TIME, MOST_AT_A_TIME = 256, 2048


@dataclass(frozen=True)
class LayerOptions:
    """How long each layer is fitted to the outputs of the dense one.

    Attributes:
        images_count: Pictures to take; None takes as many as run at a time.
        pixels_count: Pixels of the pictures that run at a time, which bounds the memory.
        positions_count: Positions of a layer's output that are read, over all pictures.
        rounds_count: Rounds of assignment and least squares.
        steps_per_round: Steps of conjugate gradients in each.
        damping_ratio: Pull towards the dense weight, as a share of the mean energy of the inputs.
        seed: Seed of pictures and positions.
    """

    images_count: int | None = None
    pixels_count: int = 2**22
    positions_count: int = 16384
    rounds_count: int = 6
    steps_per_round: int = 4
    damping_ratio: float = 0.01
    seed: int = 0

    def images_at_a_time(self, height: int, width: int) -> int:
        """Return how many pictures of this size run at a time; a few do, however large."""
        few = max(FEWEST_AT_A_TIME, self.pixels_count // (height * width))
        return min(few, MOST_AT_A_TIME)


@dataclass(frozen=True)
class OutputFit:
    """How far the outputs of a layer are from those of the dense layer.

    Attributes:
        layer: Dotted module name.
        clustered_error_ratio: Root of the mean squared error over that of outputs that are
            constant, with the weights that clustering gave. The layers before it are fitted.
        fitted_error_ratio: The same after the fit.
    """

    layer: str
    clustered_error_ratio: float
    fitted_error_ratio: float


@torch.no_grad()
def fit_layer_outputs(
    layer: LegoConv2d, error: OutputError, dense: Tensor, name: str, options: LayerOptions
) -> OutputFit:
    """Lower the error of a layer's outputs, from the description that it holds.

    Args:
        layer: The layer, filled by clustering; its bias is left as it is.
        error: The error as a function of the weight.
        dense: ``(n, c, kh, kw)`` dense weight.
        name: Name of the layer.
        options: How long.
    """
    scaled = layer.coefficients is not None
    damped = error.damped(options.damping_ratio, dense.flatten(1))
    found = description(layer)
    clustered = error.relative(found.weight())
    for _ in range(options.rounds_count):
        found = refit(
            damped, reassign(damped, found, scaled=scaled), steps_count=options.steps_per_round
        )
    found = reassign(damped, found, scaled=scaled)
    write(layer, found, damped)
    return OutputFit(name, clustered, error.relative(found.weight()))


def description(layer: LegoConv2d) -> Description:
    """Return what the layer holds."""
    index = layer.choices()
    if layer.coefficients is None:
        return Description(layer.lego.flatten(1), index, torch.ones_like(index).to(layer.lego))
    coefficient = layer.coefficients.gather(2, index[:, :, None])[:, :, 0]
    return Description(layer.lego.flatten(1), index, coefficient)


def write(layer: LegoConv2d, found: Description, error: OutputError) -> None:
    """Give the layer a description; other filters get logits and coefficients by their gains."""
    layer.lego.copy_(found.filters.reshape(layer.lego.shape))
    for fragment in range(layer.o):
        chosen = found.index[fragment][:, None]
        scaled = layer.coefficients is not None
        gains, coefficients = fragment_gains(error, found, fragment, scaled=scaled)
        most = gains.amax(1, keepdim=True)
        shares = (gains / torch.where(most > 0, most, 1.0)).clamp(0, 1)
        lead = torch.zeros_like(shares).scatter_(1, chosen, LEAD)
        layer.mask_logits[fragment] = SPREAD * shares.scatter(1, chosen, 1.0) + lead
        if layer.coefficients is not None:
            own = found.coefficient[fragment][:, None]
            layer.coefficients[fragment] = coefficients.scatter(1, chosen, own)

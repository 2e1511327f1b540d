"""What the networks are built from: one recipe gives the Lego network and its dense twin."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from legoexport.errors import UsageError
from legoexport.models.lego_conv import LegoConv2d

# Narrower layers keep channels that 2, 4 and 8 fragments divide, and that fill vector registers.
CHANNELS_MULTIPLE = 8
MOST_WIDTH = 16.0


@dataclass(frozen=True)
class LegoRecipe:
    """How the Lego layers of a network are cut.

    Attributes:
        o: Fragments of the input channels.
        m_ratio: Lego filters per output channel.
        coefficients: Whether coefficients are learned.
    """

    o: int
    m_ratio: float
    coefficients: bool = True


def scaled(channels: int, width: float) -> int:
    """Return ``width`` times ``channels``, to the nearest multiple of 8, at least 8.

    Width 1 returns ``channels`` themselves.

    Raises:
        UsageError: The width is above 16, or not a number.
    """
    if not 0 < width <= MOST_WIDTH:
        raise UsageError(
            "width multiplies channels", received=width, legal=f"above 0, at most {MOST_WIDTH:g}"
        )
    if width == 1:
        return channels
    multiples = math.floor(width * channels / CHANNELS_MULTIPLE + 0.5)
    return CHANNELS_MULTIPLE * max(1, multiples)


def convolution(
    recipe: LegoRecipe | None,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    bias: bool = False,
) -> nn.Module:
    """Return a Lego layer, or without a recipe the dense layer it replaces; half padding."""
    padding = kernel_size // 2
    if recipe is None:
        return nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=bias)
    return LegoConv2d(
        in_channels,
        out_channels,
        kernel_size,
        o=recipe.o,
        m_ratio=recipe.m_ratio,
        stride=stride,
        padding=padding,
        bias=bias,
        coefficients=recipe.coefficients,
    )


def shortcut(
    recipe: LegoRecipe | None, in_channels: int, out_channels: int, stride: int
) -> nn.Module:
    """Return what carries the input of a residual block past it: 1x1 where its shape changes."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(
        convolution(recipe, in_channels, out_channels, 1, stride=stride),
        nn.BatchNorm2d(out_channels),
    )


def convolution_norm_relu(
    recipe: LegoRecipe | None,
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    bias: bool = False,
) -> list[nn.Module]:
    """Return convolution, batch norm and ReLU."""
    return [
        convolution(recipe, in_channels, out_channels, kernel_size, stride=stride, bias=bias),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    ]

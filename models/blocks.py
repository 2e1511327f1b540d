"""What the networks are built from: one recipe gives the Lego network and its dense twin."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from legoexport.models.lego_conv import LegoConv2d


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

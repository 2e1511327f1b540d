"""legofy: turn the convolutions of any network into Lego layers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from torch import nn

from legoexport.errors import UsageError
from legoexport.models.lego_arguments import check_o, count_filters
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.replace_layers import replace_layers

Where = Callable[[str, nn.Conv2d], bool]


@dataclass(frozen=True)
class Legofied:
    """A network with Lego layers, freshly initialised, and what became of each convolution.

    Attributes:
        module: The new network; the old one is left as it was.
        replaced: Dotted names of the convolutions that are Lego layers now.
        kept: Why each other convolution stayed dense, by dotted name.
    """

    module: nn.Module
    replaced: tuple[str, ...]
    kept: Mapping[str, str]


def legofy(
    model: nn.Module,
    *,
    o: int,
    m: int | None = None,
    m_ratio: float | None = None,
    where: Where | None = None,
    coefficients: bool = True,
) -> Legofied:
    """Return a copy of ``model`` with Lego layers in place of convolutions.

    By default the first convolution (in the order of ``named_modules``) stays dense, as in the
    paper, and every other convolution that can be a Lego layer becomes one. Everything else keeps
    its weights.

    Args:
        model: Any network.
        o: Number of input fragments of every layer.
        m: Number of Lego filters of every layer; give this or ``m_ratio``.
        m_ratio: Number of Lego filters per output channel.
        where: Called with dotted name and convolution; says which become Lego layers. Each of these
            must be possible.
        coefficients: Whether coefficients are learned.

    Raises:
        UsageError: ``where`` chose a convolution that cannot be a Lego layer, or there was none.
    """
    check_o(o)
    count_filters(1, m, m_ratio)
    module = copy.deepcopy(model)
    convs = [(name, c) for name, c in module.named_modules() if isinstance(c, nn.Conv2d)]
    replaced: dict[str, nn.Conv2d] = {}
    kept: dict[str, str] = {}
    for position, (name, conv) in enumerate(convs):
        reason = _why_not(name, conv, o, where, is_first=position == 0)
        if reason:
            kept[name] = reason
        else:
            replaced[name] = conv
    if not replaced:
        raise UsageError("no convolution became a Lego layer", received=kept or "no convolutions")
    layers: dict[nn.Module, nn.Module] = {
        conv: _lego_layer(conv, o=o, m=m, m_ratio=m_ratio, coefficients=coefficients)
        for conv in replaced.values()
    }
    return Legofied(replace_layers(module, layers), tuple(replaced), MappingProxyType(kept))


def why_impossible(conv: nn.Conv2d, o: int) -> str | None:
    """Return why ``conv`` cannot be a Lego layer of ``o`` fragments, or None if it can."""
    if type(conv) is not nn.Conv2d:
        return f"its class {type(conv).__name__} may compute something else"
    if conv.groups != 1:
        return f"it has {conv.groups} groups"
    if conv.padding_mode != "zeros":
        return f"its padding mode is {conv.padding_mode}"
    if conv.in_channels % o:
        return f"o={o} does not divide its {conv.in_channels} input channels"
    if _padding(conv) is None:
        return "its 'same' padding is not symmetric"
    return None


def _why_not(
    name: str, conv: nn.Conv2d, o: int, where: Where | None, *, is_first: bool
) -> str | None:
    reason = why_impossible(conv, o)
    if where is None:
        return "it is the first convolution" if is_first else reason
    if not where(name, conv):
        return "where did not choose it"
    if reason:
        raise UsageError(f"convolution {name} cannot be a Lego layer", received=reason)
    return None


def _lego_layer(
    conv: nn.Conv2d, *, o: int, m: int | None, m_ratio: float | None, coefficients: bool
) -> LegoConv2d:
    layer = LegoConv2d(
        conv.in_channels,
        conv.out_channels,
        _pair(conv.kernel_size),
        o=o,
        m=m,
        m_ratio=m_ratio,
        stride=_pair(conv.stride),
        padding=_padding(conv) or (0, 0),
        dilation=_pair(conv.dilation),
        bias=conv.bias is not None,
        coefficients=coefficients,
    )
    return layer.to(device=conv.weight.device, dtype=conv.weight.dtype).train(conv.training)


def _padding(conv: nn.Conv2d) -> tuple[int, int] | None:
    """Return the padding in pixels, or None where 'same' pads one side more than the other."""
    if not isinstance(conv.padding, str):
        return _pair(conv.padding)
    if conv.padding == "valid":
        return 0, 0
    extents = [d * (k - 1) for d, k in zip(conv.dilation, conv.kernel_size, strict=True)]
    if any(extent % 2 for extent in extents):
        return None
    return extents[0] // 2, extents[1] // 2


def _pair(size: tuple[int, ...]) -> tuple[int, int]:
    vertical, horizontal = size
    return vertical, horizontal

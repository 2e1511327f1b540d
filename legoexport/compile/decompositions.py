"""Operators that torch's exporter does not know, in terms of those that it knows.

They are used for a network that cannot be exported without them, so that every other network is
exported as before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten


def adaptive_max_pool2d(x: Tensor, output_size: list[int]) -> tuple[Tensor, Tensor]:
    """Y[i, j] = max X[floor(i h / H) : ceil((i + 1) h / H), the same along the width].

    The positions of the maxima, the second result, are not computed: zeros in their place would be
    wrong numbers, so a network that reads them is refused.
    """
    rows = [x[..., start:stop, :] for start, stop in _bounds(x.shape[-2], output_size[0])]
    lines = [
        torch.cat(
            [
                row[..., start:stop].amax(dim=(-2, -1), keepdim=True)
                for start, stop in _bounds(x.shape[-1], output_size[1])
            ],
            dim=-1,
        )
        for row in rows
    ]
    return torch.cat(lines, dim=-2), None  # type: ignore[return-value]


def rrelu_in_eval(  # noqa: PLR0917 - the signature of the operator
    x: Tensor,
    noise: Tensor,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
    training: bool = False,  # noqa: FBT001, FBT002
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """In eval mode the slope is the mean of both bounds."""
    del generator
    if training:
        raise NotImplementedError("RReLU draws its slopes at random in training mode")
    return torch.nn.functional.leaky_relu(x, (lower + upper) / 2), noise


def attention(  # noqa: PLR0917 - the signature of the operator
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,  # noqa: FBT001, FBT002
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(Q K^T * scale + mask) V, of any rank; the exporter's own takes rank 4 only."""
    if enable_gqa or dropout_p:
        raise NotImplementedError("grouped queries and dropout are not decomposed")
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = query @ key.transpose(-2, -1) * factor
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, float("-inf"))
    elif attn_mask is not None:
        scores = scores + attn_mask
    return scores.softmax(-1) @ value


def clamp(x: Tensor, low: float | None = None, high: float | None = None) -> Any:
    """The same between two floats: the exporter takes no integer beside one, as in (-1, 0.5)."""
    if low is None or high is None or type(low) is type(high):
        return NotImplemented
    return torch.clamp(x, float(low), float(high))


def _bounds(size: int, parts: int) -> list[tuple[int, int]]:
    return [(i * size // parts, -(-(i + 1) * size // parts)) for i in range(parts)]


DECOMPOSITIONS: Mapping[Any, Callable[..., Any]] = {
    aten.adaptive_max_pool2d.default: adaptive_max_pool2d,
    aten.clamp.default: clamp,
    aten.rrelu_with_noise_functional.default: rrelu_in_eval,
    aten.scaled_dot_product_attention.default: attention,
}

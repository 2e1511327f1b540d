"""The Lego layer in training form: a shared bank and a binary mask, learned together."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from legoexport.errors import UsageError

Size = int | tuple[int, int]


class LegoConv2d(nn.Module):
    """Convolution whose filters are assembled from m shared Lego filters (LegoNet, Eq. 3-5).

    Output n reads from each of the o fragments of the input channels the one Lego filter that its
    mask chooses, times a coefficient. The mask is the one-hot argmax of ``mask_logits``; its
    gradient passes straight through to the logits.

    The forward pass assembles the equal dense weight and runs one convolution. Splitting,
    transforming and merging as the paper draws it is the same function with the same gradients, in
    o times as many kernels and with all intermediate maps kept for the backward pass.

    Args:
        in_channels: Input channels c, a multiple of ``o``.
        out_channels: Output channels n.
        kernel_size: In pixels.
        o: Number of input fragments.
        m: Number of Lego filters; give this or ``m_ratio``.
        m_ratio: Number of Lego filters per output channel, ``m = max(1, int(n * m_ratio))``.
        stride: In pixels.
        padding: Zeros on each side, in pixels.
        dilation: In pixels.
        bias: Add a learned bias per output channel.
        coefficients: Learn a coefficient for every (fragment, output, filter); otherwise all are 1.

    Attributes:
        lego: ``(m, c/o, kh, kw)``.
        coefficients: ``(o, n, m)`` or None.
        mask_logits: ``(o, n, m)``.
        bias: ``(n,)`` or None.

    Raises:
        UsageError: ``o`` does not divide ``in_channels``, or ``m`` and ``m_ratio`` are both given
            or both missing.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        *,
        o: int,
        m: int | None = None,
        m_ratio: float | None = None,
        stride: Size = 1,
        padding: Size = 0,
        dilation: Size = 1,
        bias: bool = True,
        coefficients: bool = True,
    ) -> None:
        super().__init__()
        _check_fragments(in_channels, o)
        self.in_channels, self.out_channels, self.o = in_channels, out_channels, o
        self.m = count_filters(out_channels, m, m_ratio)
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding, self.dilation = _pair(padding), _pair(dilation)
        self.balance_weight = 0.0
        self.lego = nn.Parameter(torch.empty(self.m, in_channels // o, *self.kernel_size))
        table = (o, out_channels, self.m)
        self.coefficients = nn.Parameter(torch.empty(table)) if coefficients else None
        self.mask_logits = nn.Parameter(torch.empty(table))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weights so that the assembled filters have the variance of He et al. (2015).

        Coefficients start around 1: their expected square is 1, so the assembled weight keeps the
        variance of the bank. (The published code draws them from N(0, 2/fan) like weights, which
        shrinks each layer's output and leaves it to batch norm.)
        """
        fan_in = self.in_channels * math.prod(self.kernel_size)
        nn.init.normal_(self.lego, std=math.sqrt(2 / fan_in))
        nn.init.normal_(self.mask_logits, std=0.01)
        if self.coefficients is not None:
            nn.init.normal_(self.coefficients, mean=1.0, std=0.1)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def choices(self) -> Tensor:
        """Return the Lego filter chosen by each (fragment, output), ``(o, n)`` int64."""
        return self.mask_logits.argmax(dim=2)

    def mask(self) -> Tensor:
        """Return the one-hot masks ``(o, n, m)``, differentiable straight through to the logits."""
        hard = F.one_hot(self.choices(), self.m).to(self.mask_logits.dtype)
        if not (self.mask_logits.requires_grad and torch.is_grad_enabled()):
            return hard
        masks: Tensor = _StraightThrough.apply(  # type: ignore[no-untyped-call]
            self.mask_logits, hard, self.balance_weight
        )
        return masks

    def weight(self) -> Tensor:
        """Return the assembled dense weight ``(n, c, kh, kw)``."""
        table = self.mask()
        if self.coefficients is not None:
            table = table * self.coefficients
        assembled = torch.einsum("inm,mckl->nickl", table, self.lego)
        return assembled.reshape(self.out_channels, self.in_channels, *self.kernel_size)

    def freeze_masks(self) -> None:
        """Stop learning the masks, as the paper does after its warm-up."""
        self.mask_logits.requires_grad = False

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, c, h, w)`` to ``(b, n, h', w')``."""
        return F.conv2d(x, self.weight(), self.bias, self.stride, self.padding, self.dilation)

    def extra_repr(self) -> str:
        """Describe the layer in ``print(module)``."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, o={self.o},"
            f" m={self.m}, stride={self.stride}, padding={self.padding}, dilation={self.dilation},"
            f" bias={self.bias is not None}, coefficients={self.coefficients is not None}"
        )


class _StraightThrough(torch.autograd.Function):
    """Identity from logits to masks in the backward pass, plus the published balance term."""

    @staticmethod
    def forward(ctx, logits: Tensor, hard: Tensor, balance_weight: float) -> Tensor:  # type: ignore[no-untyped-def]
        del logits
        ctx.save_for_backward(hard)
        ctx.balance_weight = balance_weight
        return hard

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def]
        (hard,) = ctx.saved_tensors
        if ctx.balance_weight:
            gradient = gradient + ctx.balance_weight * imbalance(hard)
        return gradient, None, None


def imbalance(hard: Tensor) -> Tensor:
    """Return by how much each filter is used more (or less, negative) than evenly, ``(m,)``.

    Uses between the floor and the ceiling of the even share count as even.
    """
    use = hard.sum(dim=(0, 1))
    share = hard.shape[0] * hard.shape[1] / hard.shape[2]
    return (use - math.ceil(share)).clamp(min=0) - (math.floor(share) - use).clamp(min=0)


def count_filters(out_channels: int, m: int | None, m_ratio: float | None) -> int:
    """Return the number of Lego filters from a count or a ratio.

    Raises:
        UsageError: Both or neither are given, or the number is not positive.
    """
    if (m is None) == (m_ratio is None):
        raise UsageError("give exactly one of m and m_ratio", received=f"{m=}, {m_ratio=}")
    if m is not None:
        if isinstance(m, bool) or not isinstance(m, int) or m < 1:
            raise UsageError("m counts Lego filters", received=m, legal="an integer from 1 on")
        return m
    if not (m_ratio is not None and 0 < m_ratio < math.inf):
        raise UsageError(
            "m_ratio is Lego filters per output channel", received=m_ratio, legal="> 0"
        )
    return max(1, int(out_channels * m_ratio))


def _check_fragments(in_channels: int, o: int) -> None:
    if o < 1 or in_channels % o:
        raise UsageError(
            "o must divide the input channels",
            received=f"o={o}, in_channels={in_channels}",
            legal=[divisor for divisor in range(1, in_channels + 1) if in_channels % divisor == 0],
        )


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))

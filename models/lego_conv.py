"""The Lego layer in training form: a shared bank and a binary mask, learned together."""

from __future__ import annotations

import contextlib
import math
from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from legoexport.models.lego_arguments import Size, as_pair, check_fragments, count_filters

# Multiply-adds saved per value of the intermediate maps, from which the split form is faster
# forward and backward: measured for VGG16's layers on x86 with AVX-512 and AMX, batch 128, float32
# and bfloat16. Below 450 it gives 0.7 to 1.2 times the speed, above 640 it gives 1.4 to 2.9 times.
SPLIT_PAYS_FROM = 600


class LegoConv2d(nn.Module):
    """Convolution whose filters are assembled from m shared Lego filters (LegoNet, Eq. 3-5).

    Output n reads from each of the o fragments of the input channels the one Lego filter that its
    mask chooses, times a coefficient. The mask is the one-hot argmax of ``mask_logits``; its
    gradient passes straight through to the logits.

    The forward pass assembles the equivalent dense weight and runs one convolution. Split,
    transform and merge, as the paper draws it, is the same function with the same gradients, but
    runs o times as many kernels and keeps all intermediate maps for the backward pass. Training on
    a CPU uses it in layers where it saves enough multiplications.

    Args:
        in_channels: Input channels c, a multiple of ``o``.
        out_channels: Output channels n.
        kernel_size: Size of the kernel, in pixels.
        o: Number of input fragments.
        m: Number of Lego filters; give this or ``m_ratio``.
        m_ratio: Number of Lego filters per output channel, ``m = max(1, int(n * m_ratio))``.
        stride: Stride, in pixels.
        padding: Zeros on each side, in pixels.
        dilation: Dilation, in pixels.
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
        check_fragments(in_channels, o)
        self.in_channels, self.out_channels, self.o = in_channels, out_channels, o
        self.m = count_filters(out_channels, m, m_ratio)
        self.kernel_size, self.stride = as_pair(kernel_size), as_pair(stride)
        self.padding, self.dilation = as_pair(padding), as_pair(dilation)
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
        return straight_through(self.mask_logits)

    def weight(self) -> Tensor:
        """Return the assembled dense weight ``(n, c, kh, kw)``.

        Masks that are not being learned need no product over all m filters. The chosen filters are
        picked instead, which gives the same values for a fraction of the work.

        The weight is assembled in full precision, also under autocast: a mask is exact, and the
        products are 10 times slower in bfloat16 on CPUs (torch 2.13).
        """
        with _full_precision(self.lego.device.type):
            return self._assembled()

    def _assembled(self) -> Tensor:
        if self.mask_logits.requires_grad and torch.is_grad_enabled():
            return assemble(self.lego, self.mask(), self.coefficients)
        return self._picked().reshape(self.out_channels, self.in_channels, *self.kernel_size)

    def _picked(self) -> Tensor:
        """Return the chosen filters times their coefficients, ``(n * o, c/o, kh, kw)``."""
        choices = self.choices()
        # index_select: its backward is a single addition, three times as fast as that of lego[...].
        filters = self.lego.index_select(0, choices.T.flatten())
        if self.coefficients is None:
            return filters
        chosen = self.coefficients.gather(2, choices.unsqueeze(2))
        return filters * chosen.transpose(0, 1).reshape(-1, 1, 1, 1)

    def balance_masks(self, weight: float) -> RemovableHandle:
        """From now on add the published balance term to the gradient of the mask logits.

        It acts on the complete gradient, exactly once in a backward pass, however often the layer
        is used and however many replicas DataParallel makes of it. Averaging over ranks (DDP)
        leaves it as it is.

        Args:
            weight: Weight of one use above or below the even share; 1e-4 as published.

        Returns:
            A handle that ends it. Copies of the layer are made without it.
        """

        def balanced(gradient: Tensor) -> Tensor:
            return gradient + weight * imbalance(self.choices(), self.m).to(gradient)

        handle: RemovableHandle = self.mask_logits.register_hook(balanced)  # type: ignore[no-untyped-call]
        return handle

    def freeze_masks(self) -> None:
        """Stop learning the masks, as the paper does after its warm-up.

        DistributedDataParallel records which parameters are learned when it wraps a network, so
        wrap it again.
        """
        self.mask_logits.requires_grad = False

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(b, c, h, w)`` to ``(b, n, h', w')``."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return self._plainly_convolved(x)
        return self._convolved(x)

    def _plainly_convolved(self, x: Tensor) -> Tensor:
        """Compute in the one form that TorchScript and torch.fx can follow."""
        weight = assemble(self.lego, straight_through(self.mask_logits), self.coefficients)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation)

    @torch.jit.unused
    def _convolved(self, x: Tensor) -> Tensor:
        """Compute in the form that is fastest here."""
        if isinstance(x, torch.fx.Proxy):  # it has no value to choose the form by
            return self._plainly_convolved(x)
        if (
            self.training
            and torch.is_grad_enabled()
            and x.device.type == "cpu"
            and self._split_pays()
        ):
            return self._merged(x)
        return F.conv2d(x, self.weight(), self.bias, self.stride, self.padding, self.dilation)

    def _split_pays(self) -> bool:
        """Whether the split form saves enough multiply-adds for each intermediate map it keeps."""
        patch = self.in_channels * math.prod(self.kernel_size)
        merged = self.m * (patch + self.out_channels * self.o)
        return self.out_channels * patch - merged >= SPLIT_PAYS_FROM * self.o * self.m

    def _merged(self, x: Tensor) -> Tensor:
        """Split, transform, merge: the merge is a 1x1 convolution by masks and coefficients."""
        with _full_precision(self.lego.device.type):
            table = self.mask() if self.coefficients is None else self.mask() * self.coefficients
        geometry = (self.stride, self.padding, self.dilation)
        maps = [F.conv2d(part, self.lego, None, *geometry) for part in x.chunk(self.o, dim=1)]
        merge = table.transpose(0, 1).reshape(self.out_channels, -1, 1, 1)
        return F.conv2d(torch.cat(maps, dim=1), merge, self.bias)

    def extra_repr(self) -> str:
        """Describe the layer in ``print(module)``."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, o={self.o},"
            f" m={self.m}, stride={self.stride}, padding={self.padding}, dilation={self.dilation},"
            f" bias={self.bias is not None}, coefficients={self.coefficients is not None}"
        )


def straight_through(logits: Tensor) -> Tensor:
    """Return one-hot masks ``(o, n, m)`` of ``logits``, which get the gradient of the masks."""
    hard = torch.zeros_like(logits).scatter_(2, logits.argmax(dim=2).unsqueeze(2), 1.0)
    # Adds exactly zero to the value, and the identity to the gradient.
    return hard + (logits - logits.detach())


def assemble(lego: Tensor, mask: Tensor, coefficients: Optional[Tensor]) -> Tensor:  # noqa: UP045 - TorchScript
    """Return the dense weight ``(n, c, kh, kw)``: every mask entry times its Lego filter."""
    table = mask if coefficients is None else mask * coefficients
    return torch.einsum("inm,mckl->nickl", table, lego).flatten(1, 2)


def imbalance(choices: Tensor, m: int) -> Tensor:
    """Return by how much each filter is used more (or less, negative) than evenly, ``(m,)``.

    Uses between the floor and the ceiling of the even share count as even.
    """
    chosen = choices.flatten()
    # Unlike bincount it needs no look at the values, for which an accelerator would have to wait.
    use = torch.zeros(m, dtype=torch.int64, device=choices.device)
    use.scatter_add_(0, chosen, torch.ones_like(chosen))
    share = choices.numel() / m
    return (use - math.ceil(share)).clamp(min=0) - (math.floor(share) - use).clamp(min=0)


def _full_precision(device: str) -> contextlib.AbstractContextManager[None]:
    """Leave autocast on devices that have it; "meta", which only counts, does not."""
    if torch.amp.is_autocast_available(device):
        return torch.autocast(device, enabled=False)
    return contextlib.nullcontext()

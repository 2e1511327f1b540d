"""The numbers and the memory layout that a step computes in; weights stay float32.

Measured for lego_vgg16 at 32x32 on two cores with AVX-512 bf16 and AMX: see docs/training.md.
bfloat16 has the range of float32, so that no loss needs scaling and the balance term, which is
added to a gradient, keeps its weight.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CPU_FEATURES = ("amx_bf16", "avx512_bf16")


@dataclass(frozen=True)
class Precision:
    """How a step computes.

    Attributes:
        bfloat16: Whether convolutions and products run in bfloat16 (torch.autocast).
        channels_last: Whether the channels of a pixel lie together in memory.
    """

    bfloat16: bool = False
    channels_last: bool = False

    def autocast(self, device: torch.device) -> contextlib.AbstractContextManager[None]:
        """Return the context in which a forward pass runs."""
        if not self.bfloat16:
            return contextlib.nullcontext()
        return torch.autocast(device.type, torch.bfloat16)

    def scores(self, network: nn.Module, images: Tensor) -> Tensor:
        """Run a network on images in this layout; what it gives in bfloat16 becomes float32."""
        with self.autocast(images.device):
            scores: Tensor = network(images)
        return scores.float() if scores.dtype == torch.bfloat16 else scores

    def place(self, module: nn.Module) -> None:
        """Arrange the weights of a network in this layout; their values stay."""
        if self.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def laid_out(self, images: Tensor) -> Tensor:
        """Return images ``(b, c, h, w)`` in the layout."""
        if self.channels_last:
            return images.contiguous(memory_format=torch.channels_last)
        return images


EXACT = Precision()


def choose(device: torch.device, *, mixed: bool | None = None) -> Precision:
    """Return what is fastest on a device.

    Args:
        device: Where the training runs.
        mixed: Whether to compute in bfloat16; None means if the device has instructions for it.
    """
    if mixed is None:
        mixed = has_bfloat16(device)
    return Precision(bfloat16=mixed, channels_last=mixed)


def has_bfloat16(device: torch.device) -> bool:
    """Return whether a device computes in bfloat16 itself; others imitate it, slowly."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        features = torch.cpu.get_capabilities()
        return any(features.get(name) for name in CPU_FEATURES)
    return False

"""The example input that a network is compiled for."""

from __future__ import annotations

import torch
from torch import Tensor

from legoexport.errors import UsageError

IMAGE_RANK = 4


def checked_example(example: Tensor) -> Tensor:
    """Return ``example`` as the compiler takes it: float32 ``(b, c, h, w)`` on the CPU.

    Raises:
        UsageError: It is not a batch of images in floating point.
    """
    if not isinstance(example, Tensor) or example.dim() != IMAGE_RANK or 0 in example.shape:
        shape = tuple(example.shape) if isinstance(example, Tensor) else type(example).__name__
        raise UsageError(
            "the example must be one batch of images",
            received=shape,
            legal="a tensor (batch, channels, height, width)",
            next_step="add the batch with example.unsqueeze(0)" if _lacks_batch(example) else None,
        )
    if not example.is_floating_point():
        raise UsageError(
            "the example must hold floating-point numbers, as the images of a proof do",
            received=str(example.dtype),
            legal="float32",
            next_step="convert integers to floats outside of the network",
        )
    return example.detach().to("cpu", torch.float32)


def _lacks_batch(example: object) -> bool:
    return isinstance(example, Tensor) and example.dim() == IMAGE_RANK - 1

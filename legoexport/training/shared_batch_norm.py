"""Batch norm over the whole batch where processes share it, on any device.

torch's SyncBatchNorm runs only on accelerators. Plain batch norm would normalise each share by
itself, so that the result depends on the number of processes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn

from legoexport.models.replace_layers import replace_layers


def share_batch_norms(module: nn.Module) -> None:
    """Replace every BatchNorm2d in ``module`` by one over all processes, its tensors kept."""
    norms = [layer for layer in module.modules() if type(layer) is nn.BatchNorm2d]
    replace_layers(module, {norm: _shared(norm) for norm in norms})


def _shared(norm: nn.BatchNorm2d) -> SharedBatchNorm2d:
    shared = SharedBatchNorm2d(
        norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats
    )
    shared.train(norm.training)
    for name, parameter in norm.named_parameters():
        setattr(shared, name, parameter)
    for name, buffer in norm.named_buffers():
        setattr(shared, name, buffer)
    return shared


class SharedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d whose mean and variance are those of the batch of all processes."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``(b, c, h, w)``; statistics in float32 at least."""
        if not self.training:
            return super().forward(x)
        wide = x if x.dtype == torch.float64 else x.float()
        count = wide.new_tensor([x.numel() // x.shape[1]])
        distributed.all_reduce(count)
        mean = _sum_over_ranks(wide.sum((0, 2, 3))) / count
        centred = wide - mean.reshape(1, -1, 1, 1)
        variance = _sum_over_ranks(centred.square().sum((0, 2, 3))) / count
        self._follow(mean.detach(), variance.detach(), count)
        scale = (variance + self.eps).rsqrt() * self.weight
        normed = centred * scale.reshape(1, -1, 1, 1) + self.bias.reshape(1, -1, 1, 1)
        return normed.to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Update the running statistics as BatchNorm2d does, the variance without bias."""
        if self.running_mean is None or self.running_var is None:
            return
        assert self.num_batches_tracked is not None  # noqa: S101 - comes with the others
        self.num_batches_tracked.add_(1)
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        unbiased = variance * count / (count - 1)
        self.running_var.lerp_(unbiased.to(self.running_var), share)


class _SumOverRanks(torch.autograd.Function):
    """Sum over processes; each of them sees the whole sum, so gradients add up the same way."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        del ctx
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        del ctx
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


def _sum_over_ranks(values: Tensor) -> Tensor:
    total: Tensor = _SumOverRanks.apply(values)  # type: ignore[no-untyped-call]
    return total

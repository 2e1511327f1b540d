"""Batch norm statistics of a network whose filters have changed."""

from __future__ import annotations

import torch
from torch import nn

from legoexport.models.fitting.parts import Pictures

BATCH_SIZE = 128


@torch.no_grad()
def recalibrate(module: nn.Module, images: Pictures) -> int:
    """Estimate the statistics of every batch norm anew, in place; nothing is learned.

    Fitted filters give maps of another mean and variance than the dense ones. The statistics of the
    dense network scale them wrongly in every layer, and after a few layers nothing is left.

    Args:
        module: The network; its mode stays as it is.
        images: ``(N, c, h, w)``, at least two, prepared as for training; labels are not needed.

    Returns:
        Number of batch norms.
    """
    norms = [each for each in module.modules() if isinstance(each, nn.BatchNorm2d)]
    before = [(norm.training, norm.momentum) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over batches
        norm.train()
    # Batches of equal size: each then weighs the same, and none is too small to have a variance.
    for batch in images.tensor_split(-(-images.shape[0] // BATCH_SIZE)):
        module(batch)
    for norm, (training, momentum) in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.train(training)
    return len(norms)

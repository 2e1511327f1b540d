"""Accuracy on held-out pictures."""

from __future__ import annotations

import torch
from torch import nn

from legoexport.training.data.images import ImageData
from legoexport.training.precision import EXACT, Precision
from legoexport.training.ranks import ALONE, Ranks

BATCH_SIZE = 256
ACCELERATED_BATCH_SIZE = 1024


@torch.no_grad()
def count_correct(
    module: nn.Module, data: ImageData, *, precision: Precision = EXACT, ranks: Ranks = ALONE
) -> int:
    """Count the test pictures that ``module`` classifies correctly in eval mode.

    Args:
        module: The network; left in eval mode.
        data: Its test pictures are on the network's device.
        precision: The numbers to compute in.
        ranks: Processes that share the work; each returns the sum.
    """
    module.eval()
    images, labels = (
        part[ranks.rank :: ranks.count] for part in (data.test_images, data.test_labels)
    )
    correct = torch.zeros((), dtype=torch.int64, device=labels.device)
    size = BATCH_SIZE if labels.device.type == "cpu" else ACCELERATED_BATCH_SIZE
    for start in range(0, len(labels), size):
        part = slice(start, start + size)
        shown = precision.laid_out(data.normalised(images[part]))
        correct += (precision.scores(module, shown).argmax(1) == labels[part]).sum()
    return int(ranks.sum(correct))

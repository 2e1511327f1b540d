"""The exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn

# The first steps move far: an average that starts slowly forgets them.
FIRST_STEPS = 10


class Average:
    """A second network whose weights follow those of the first.

    Masks are copied as they are: the average of two choices is neither. So the average always has
    the masks that its bank was learned with.

    Args:
        module: The network to follow.
        decay: Share of the average that a step keeps.

    Attributes:
        module: The average as a network.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(requires_grad=False)
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, steps_done: int) -> None:
        """Move towards ``module`` after its step number ``steps_done``, from 1 on."""
        decay = min(self.decay, (1 + steps_done) / (FIRST_STEPS + steps_done))
        current = module.state_dict()
        for name, value in self.module.state_dict().items():
            if name.endswith("mask_logits") or not value.is_floating_point():
                value.copy_(current[name])
            else:
                value.lerp_(current[name], 1 - decay)

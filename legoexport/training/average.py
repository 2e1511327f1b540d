"""The exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

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
        pairs = _pairs(self.module, module)
        self._copied = [pair for name, pair in pairs.items() if _is_copied(name, pair[0])]
        self._moved = [pair for name, pair in pairs.items() if not _is_copied(name, pair[0])]

    @torch.no_grad()
    def update(self, steps_done: int) -> None:
        """Move towards the network after its step number ``steps_done``, from 1 on."""
        decay = min(self.decay, (1 + steps_done) / (FIRST_STEPS + steps_done))
        for value, current in self._copied:
            value.copy_(current)
        values, currents = zip(*self._moved, strict=True)
        # On an accelerator one kernel moves many tensors.
        torch._foreach_lerp_(list(values), list(currents), 1 - decay)


def _pairs(average: nn.Module, module: nn.Module) -> dict[str, tuple[Tensor, Tensor]]:
    """The tensors of both by name; whatever loads weights later writes into the same ones."""
    current = module.state_dict()
    return {name: (value, current[name]) for name, value in average.state_dict().items()}


def _is_copied(name: str, value: Tensor) -> bool:
    return name.endswith("mask_logits") or not value.is_floating_point()

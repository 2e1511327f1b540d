"""The processes that train together: one alone, or those that torchrun started."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, distributed


@dataclass(frozen=True)
class Ranks:
    """This process among those that share every batch.

    Attributes:
        rank: Number of this process, from 0; rank 0 writes files and prints.
        count: Number of all processes.
        local_rank: Number among the processes on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum of ``values`` over all processes."""
        total = values.clone()
        if self.count > 1:
            distributed.all_reduce(total)
        return total

    def any(self, flags: tuple[bool, ...], device: torch.device) -> tuple[bool, ...]:
        """Return for each flag whether any process raised it, so that all do the same."""
        if self.count == 1:
            return flags
        raised = torch.tensor(flags, dtype=torch.int32, device=device)
        return tuple(bool(flag) for flag in self.sum(raised).tolist())


ALONE = Ranks()

"""Muon for banks: steps along the gradient with all its directions made equally long.

The gradient of a bank is a matrix with a row for each Lego filter. A few of its directions are far
longer than the others, because each filter serves many outputs and they ask for much the same. With
the singular values of the momentum U S V^T made equal, each step moves the bank B by::

    B <- B - ratio |B| (U V^T) / |U V^T|

(Jordan et al., 2024; the length relative to the weight as in their record for CIFAR-10).

torch.optim.Muon takes matrices alone, and computes in bfloat16 even where processors imitate it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from legoexport.training.relative_steps import RelativeSteps

# The polynomial a s + b s^3 + c s^5 of Jordan et al. draws singular values close to 1 in 5 rounds.
A, B, C = 3.4445, -4.7750, 2.0315
ROUNDS_COUNT = 5


class BankMuon(RelativeSteps):
    """Moves banks by a share of their norm.

    Args:
        banks: Weights with a row for each filter; dimensions after the first count as one.
        lr: Length of a step, as a share of the norm of the bank.
        momentum: Share of the mean gradient that a step keeps; the step looks ahead (Nesterov).
        bfloat16: Whether directions are computed in bfloat16; the banks stay as they are.
    """

    def __init__(
        self, banks: Iterable[nn.Parameter], lr: float, momentum: float, *, bfloat16: bool
    ) -> None:
        super().__init__(banks, lr, momentum)
        self._bfloat16 = bfloat16

    def direction(self, gradient: Tensor) -> Tensor:
        """Return the mean gradient of a bank with its singular values made alike."""
        rows = gradient.flatten(1)
        rows = orthogonalized(rows.bfloat16() if self._bfloat16 else rows)
        return rows.to(gradient.dtype).reshape(gradient.shape)


def orthogonalized(matrix: Tensor) -> Tensor:
    """Return U V^T of a matrix U S V^T, with singular values of about 0.7 to 1.2; 0 for 0."""
    is_tall = len(matrix) > matrix.shape[1]
    wide: Tensor = matrix.T if is_tall else matrix
    wide = wide / wide.norm().clamp(min=torch.finfo(wide.dtype).tiny)
    for _ in range(ROUNDS_COUNT):
        square = wide @ wide.T
        wide = A * wide + (B * square + C * square @ square) @ wide
    return wide.T if is_tall else wide

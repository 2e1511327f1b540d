"""The squared error of a layer's outputs, as a function of its weight: a quadratic form.

With the inputs ``x`` that the layer really gets and the outputs ``y`` that it should give, the mean
of ``(w x - y)^2`` is ``w H w - 2 w g + e``. H and g hold all that the pictures say about a linear
layer; assignment and least squares need nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class OutputError:
    """Mean squared error of each output for any weight.

    Attributes:
        gram: ``(D, D)``, mean of ``x x^T``; D values in a patch of the input.
        target: ``(n, D)``, mean of ``y x^T``.
        energy: ``(n,)``, mean of ``y^2``.
        importance: ``(n,)``, how much each output's error counts; not negative.
    """

    gram: Tensor
    target: Tensor
    energy: Tensor
    importance: Tensor

    def of(self, weight: Tensor) -> Tensor:
        """Return the weighted mean squared error of each output, ``(n,)``.

        Args:
            weight: ``(n, D)``.
        """
        errors = (weight * (weight @ self.gram - 2 * self.target)).sum(1) + self.energy
        return self.importance * errors

    def relative(self, weight: Tensor) -> float:
        """Return the root of the summed error over that of a weight of zeros; 0 for 0 / 0."""
        whole = float((self.importance * self.energy).sum())
        # Rounding can leave less than nothing.
        return max(float(self.of(weight).sum()), 0.0) ** 0.5 / whole**0.5 if whole else 0.0

    def damped(self, ratio: float, weight: Tensor) -> OutputError:
        """Return the error plus a pull towards a weight.

        A patch may have more values than there are positions. What they leave open stays as it is
        in the given weight.

        Args:
            ratio: Strength of the pull, as a share of the mean of the diagonal of H.
            weight: ``(n, D)``.
        """
        pull = ratio * self.gram.diagonal().mean()
        return OutputError(
            self.gram + pull * torch.eye(len(self.gram)).to(self.gram),
            self.target + pull * weight,
            self.energy + pull * weight.square().sum(1),
            self.importance,
        )


def output_error(
    inputs: Tensor, outputs: Tensor, importance: Tensor, *, centred: bool
) -> OutputError:
    """Gather what positions of the maps say about a layer.

    Args:
        inputs: ``(P, D)`` patches that the layer reads.
        outputs: ``(P, n)`` values that it should give.
        importance: ``(n,)``.
        centred: Take the means off both, which a bias or a batch norm makes good.
    """
    if centred:
        inputs, outputs = inputs - inputs.mean(0), outputs - outputs.mean(0)
    count = len(inputs)
    return OutputError(
        inputs.T @ inputs / count,
        outputs.T @ inputs / count,
        outputs.square().mean(0),
        importance,
    )

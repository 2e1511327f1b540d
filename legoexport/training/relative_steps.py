"""Steps whose length is a share of what they move, however long the gradient is.

A coefficient has the gradient of its filter along one Lego filter, which is far shorter than that
of a weight. At the low rates of a finetuning, SGD moves coefficients by its decay alone.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class RelativeSteps(torch.optim.Optimizer):
    """Moves parameters by shares of their norms.

    A step moves the parameter p along a direction d of its mean gradient::

        p <- p - ratio |p| d / |d|

    |p| is that of the values that d moves: in a table of coefficients, those that masks choose. A
    batch norm behind the layer makes the scale of p irrelevant, so there is no weight decay.

    Args:
        parameters: What to move.
        lr: Length of a step, as a share of the norm.
        momentum: Share of the mean gradient that a step keeps; the step looks ahead (Nesterov).
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, momentum: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    def direction(self, gradient: Tensor) -> Tensor:
        """Return the direction of a step, shaped like the mean ``gradient``; of any length."""
        return gradient

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Move each parameter that has a gradient."""
        del closure
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group["lr"], group["momentum"])

    def _move(self, parameter: Tensor, gradient: Tensor, ratio: float, momentum: float) -> None:
        state = self.state[parameter]
        if not state:
            state["mean_gradient"] = torch.zeros_like(parameter)
        mean: Tensor = state["mean_gradient"].lerp_(gradient, 1 - momentum)
        direction = self.direction(gradient.lerp(mean, momentum))
        length = direction.norm().clamp(min=torch.finfo(parameter.dtype).tiny)
        moved = (parameter * (direction != 0)).norm()
        parameter.sub_(direction * (ratio * moved / length))

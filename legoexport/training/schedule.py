"""Learning rates, computed from the position of each step alone, so that no state is saved."""

from __future__ import annotations

import math
from dataclasses import dataclass

from legoexport.training.recipe import Recipe

# Of torch's OneCycleLR: the share of steps that climb, and the divisors of the first and last rate.
CLIMB_SHARE = 0.3
FIRST_DIVISOR = 25.0
LAST_DIVISOR = 25e4
# A tenth of the rate from half of the epochs on, a hundredth from three quarters on.
STEP_SHARES = (0.5, 0.75)
STEP_FACTOR = 0.1


@dataclass(frozen=True)
class Position:
    """Where a training stands: the next step to make.

    Attributes:
        epoch: Number of the epoch, from 1; one more than the recipe's epochs when all are done.
        step: Number of the step in the epoch, from 0.
    """

    epoch: int = 1
    step: int = 0


def rate_share(recipe: Recipe, position: Position, steps_per_epoch: int) -> float:
    """Return the rate of the step at ``position`` as a share of the highest."""
    epoch, epochs = position.epoch - 1, recipe.epochs
    if recipe.restarts_after_warmup and not recipe.learns_masks(position.epoch):
        warmup = recipe.warmup_epochs or 0
        epoch, epochs = epoch - warmup, epochs - warmup
    if recipe.schedule == "cosine":
        return (1 + math.cos(math.pi * epoch / epochs)) / 2
    if recipe.schedule == "step":
        return STEP_FACTOR ** sum(epoch >= turn * epochs for turn in STEP_SHARES)
    return _one_cycle(epoch * steps_per_epoch + position.step, epochs * steps_per_epoch)


def _one_cycle(step: int, steps: int) -> float:
    """Half a cosine up to 1 and another down, as torch's OneCycleLR (Smith & Topin, 2018)."""
    turn, last = CLIMB_SHARE * steps - 1, steps - 1
    if step <= turn:
        return _between(1 / FIRST_DIVISOR, 1.0, step / turn if turn > 0 else 1.0)
    return _between(1.0, 1 / LAST_DIVISOR, (step - turn) / (last - turn))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

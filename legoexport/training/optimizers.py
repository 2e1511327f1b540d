"""What moves which parameters of a network, and how fast at most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import nn

from legoexport.training import masks
from legoexport.training.muon import BankMuon
from legoexport.training.recipe import Recipe
from legoexport.training.relative_steps import RelativeSteps

# Name of a group's value in the optimizer: its rate at the height of the schedule.
PEAK = "peak"


def optimizers(
    module: nn.Module, recipe: Recipe, *, bfloat16: bool
) -> tuple[torch.optim.Optimizer, ...]:
    """Return the optimizers of all parameters of ``module``; the first is SGD.

    Mask logits matter by their order only; decay would just shrink their margins. Banks and
    coefficients take relative steps if the recipe says how long; those of banks are computed in
    bfloat16 if the training computes in it.
    """
    logits = [layer.mask_logits for layer in masks.lego_layers(module)]
    relative = tuple(_relative(module, recipe, bfloat16=bfloat16))
    moved = [each for one in relative for each in one.param_groups[0]["params"]]
    others = _without(module.parameters(), [*logits, *moved])
    decay, rate = recipe.weight_decay, recipe.learning_rate
    groups: list[dict[str, object]] = [{"params": others, "weight_decay": decay, PEAK: rate}]
    if logits:
        decay, rate = decay if recipe.decays_masks else 0.0, rate * recipe.mask_rate_ratio
        groups.append({"params": logits, "weight_decay": decay, PEAK: rate})
    sgd = torch.optim.SGD(
        groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov
    )
    for each in relative:
        each.param_groups[0][PEAK] = each.param_groups[0]["lr"]
    return sgd, *relative


def set_rates(all_optimizers: Sequence[torch.optim.Optimizer], share: float) -> None:
    """Set each group's rate to a share of its peak."""
    for each in all_optimizers:
        for group in each.param_groups:
            group["lr"] = group[PEAK] * share


def _relative(module: nn.Module, recipe: Recipe, *, bfloat16: bool) -> Iterator[RelativeSteps]:
    """Yield what moves the banks, and what moves the coefficients, by shares of their norms."""
    layers = tuple(masks.lego_layers(module))
    ratio, momentum = recipe.bank_step_ratio, recipe.momentum
    banks = [layer.lego for layer in layers]
    if ratio and banks:
        yield BankMuon(banks, ratio, momentum, bfloat16=bfloat16)
    ratio = recipe.coefficient_step_ratio
    tables = [layer.coefficients for layer in layers if layer.coefficients is not None]
    if ratio and tables:
        yield RelativeSteps(tables, ratio, momentum)


def _without(
    parameters: Iterable[nn.Parameter], left_out: Sequence[nn.Parameter]
) -> list[nn.Parameter]:
    marked = {id(each) for each in left_out}
    return [each for each in parameters if id(each) not in marked]

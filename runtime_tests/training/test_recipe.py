"""Presets hold the paper's numbers; schedules are those of torch and of the published code."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from legoexport.errors import UsageError
from legoexport.training.recipe import PRESETS, Recipe, choose
from legoexport.training.schedule import Position, rate_share


@pytest.mark.parametrize("preset", ["paper", "published"])
def test_the_numbers_of_the_paper_and_of_its_code(preset: str) -> None:
    recipe = PRESETS[preset]
    assert (recipe.epochs, recipe.batch_size) == (400, 128)
    assert (recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (0.1, 0.9, 5e-4)
    assert (recipe.warmup_epochs, recipe.balance_weight) == (10, 1e-4)
    assert recipe.mask_rate_ratio == 1
    assert (recipe.flips, recipe.max_shift_pixels, recipe.padding) == (True, 4, "constant")
    assert not recipe.nesterov
    assert recipe.label_smoothing == recipe.ema_decay == 0


def test_where_the_published_code_goes_its_own_way() -> None:
    paper, published = PRESETS["paper"], PRESETS["published"]
    assert (paper.schedule, published.schedule) == ("step", "cosine")
    assert (paper.decays_masks, published.decays_masks) == (False, True)
    assert (paper.restarts_after_warmup, published.restarts_after_warmup) == (False, True)


def test_the_short_one_is_modern() -> None:
    short = PRESETS["short"]
    assert short.schedule == "one_cycle"
    assert short.label_smoothing > 0
    assert short.ema_decay > 0
    assert short.mask_rate_ratio < 1
    assert short.flips
    assert short.max_shift_pixels == 4


def test_other_epochs_scale_a_short_warm_up_and_no_published_one() -> None:
    assert choose("short", epochs=10).warmup_epochs == 2
    assert choose("short", epochs=1).warmup_epochs == 1
    assert choose("short", epochs=10, changes={"warmup_epochs": 5}).warmup_epochs == 5
    assert choose("short", epochs=10, changes={"warmup_epochs": None}).warmup_epochs is None
    assert choose("paper", epochs=40).warmup_epochs == 10
    assert choose("paper", changes={"epochs": 3}).epochs == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"learning_rate": 0},
        {"learning_rate": math.nan},
        {"learning_rate": "fast"},
        {"mask_rate_ratio": 0},
        {"momentum": 1.0},
        {"bank_step_ratio": 1.0},
        {"coefficient_step_ratio": -0.1},
        {"schedule": "linear"},
        {"padding": "mirror"},
        {"epochs": 0},
        {"batch_size": 2.5},
        {"flips": 1},
        {"weight_decay": -1.0},
        {"weight_decay": math.inf},
        {"warmup_epochs": -1},
        {"nesterov": True, "momentum": 0.0},
        {"batchsize": 128},
    ],
    ids=str,
)
def test_values_out_of_range_are_refused_by_name(changes: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(changes))):
        choose("paper", changes=changes)
    with pytest.raises(UsageError, match="preset"):
        choose("long")


def rates(recipe: Recipe, steps_per_epoch: int) -> list[float]:
    return [
        recipe.learning_rate * rate_share(recipe, Position(epoch, step), steps_per_epoch)
        for epoch in range(1, recipe.epochs + 1)
        for step in range(steps_per_epoch)
    ]


@pytest.mark.parametrize(("epochs", "steps_per_epoch"), [(2, 9), (5, 4), (20, 7)])
def test_one_cycle_is_torchs(epochs: int, steps_per_epoch: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], momentum=0.9)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.3, epochs * steps_per_epoch, cycle_momentum=False
    )
    wanted = []
    for _ in range(epochs * steps_per_epoch):
        wanted.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    recipe = Recipe(epochs=epochs, schedule="one_cycle", learning_rate=0.3)
    assert rates(recipe, steps_per_epoch) == pytest.approx(wanted, rel=1e-9)


def test_the_published_cosine_begins_anew_when_the_masks_freeze() -> None:
    found = rates(PRESETS["published"], 1)
    warmup = [0.05 * (1 + math.cos(math.pi * epoch / 400)) for epoch in range(10)]
    rest = [0.05 * (1 + math.cos(math.pi * epoch / 390)) for epoch in range(390)]
    assert found == pytest.approx(warmup + rest, rel=1e-12)
    plain = rates(replace(PRESETS["published"], restarts_after_warmup=False), 1)
    assert plain == pytest.approx(
        [0.05 * (1 + math.cos(math.pi * epoch / 400)) for epoch in range(400)], rel=1e-12
    )


def test_the_step_schedule_divides_by_ten_twice() -> None:
    found = rates(PRESETS["paper"], 3)
    assert found == pytest.approx([0.1] * 600 + [0.01] * 300 + [0.001] * 300)

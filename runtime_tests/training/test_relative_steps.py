"""Steps of coefficients: against numpy in float64, and in a Lego layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from legoexport.models.lego_conv import LegoConv2d
from legoexport.training.optimizers import optimizers
from legoexport.training.recipe import Recipe
from legoexport.training.relative_steps import RelativeSteps
from runtime_tests.training.tiny import tiny_net

RATIO = 0.01


@given(
    st.integers(1, 4),
    st.integers(1, 6),
    st.integers(1, 5),
    st.floats(0, 0.99),
    st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_each_step_moves_what_is_chosen_by_a_share_of_it(
    o: int, n: int, m: int, momentum: float, seed: int
) -> None:
    numbers = np.random.default_rng(seed)
    chosen = np.eye(m)[numbers.integers(0, m, (o, n))]
    table = nn.Parameter(torch.tensor(numbers.normal(1, 0.1, (o, n, m))))
    steps = RelativeSteps([table], RATIO, momentum)
    expected, mean = table.detach().numpy().copy(), np.zeros((o, n, m))
    for step in range(3):
        gradient = numbers.normal(size=(o, n, m)) * chosen * 1e-3**step
        table.grad = torch.tensor(gradient)
        steps.step()
        mean = momentum * mean + (1 - momentum) * gradient
        ahead = (1 - momentum) * gradient + momentum * mean
        length = RATIO * np.linalg.norm(expected * chosen)
        expected -= length * ahead / np.linalg.norm(ahead)
        # Float64 in another order of summation.
        np.testing.assert_allclose(table.detach().numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("learns_masks", [False, True], ids=["frozen", "learned"])
def test_coefficients_that_no_mask_chooses_stay(learns_masks: bool) -> None:
    layer = LegoConv2d(8, 12, 3, o=4, m=5).double()
    assert layer.coefficients is not None
    if not learns_masks:
        layer.freeze_masks()
    before, is_chosen = layer.coefficients.detach().clone(), layer.mask().bool()
    recipe = Recipe(coefficient_step_ratio=RATIO, balance_weight=0.0, weight_decay=0.1)
    layer(torch.randn(2, 8, 5, 5, dtype=torch.float64)).square().mean().backward()
    for each in optimizers(layer, recipe, bfloat16=False):
        each.step()
    moved = layer.coefficients.detach() - before
    assert torch.equal(moved[~is_chosen], torch.zeros_like(moved[~is_chosen]))
    ratio = float(moved.norm() / before[is_chosen].norm())
    assert ratio == pytest.approx(RATIO, rel=1e-9)  # float64 in another order of summation


@pytest.mark.parametrize("gradient", [None, torch.zeros(2, 3, 4)], ids=["none", "zero"])
def test_coefficients_without_a_direction_stay(gradient: torch.Tensor | None) -> None:
    table = nn.Parameter(torch.ones(2, 3, 4))
    table.grad = gradient
    RelativeSteps([table], RATIO, 0.9).step()
    assert torch.equal(table, torch.ones(2, 3, 4))


def test_banks_and_coefficients_have_steps_of_their_own() -> None:
    net = tiny_net()
    recipe = Recipe(bank_step_ratio=0.02, coefficient_step_ratio=0.01)
    sgd, banks, tables = optimizers(net, recipe, bfloat16=False)
    for each, parameter in ((banks, net.lego.lego), (tables, net.lego.coefficients)):
        (group,) = each.param_groups
        assert [id(moved) for moved in group["params"]] == [id(parameter)]
    moved = [id(one) for group in sgd.param_groups for one in group["params"]]
    others = [one for one in net.parameters() if one is not net.lego.lego]
    assert sorted(moved) == sorted(id(one) for one in others if one is not net.lego.coefficients)


def test_a_network_without_coefficients_has_no_steps_for_them() -> None:
    layer = LegoConv2d(4, 4, 3, o=2, m=2, coefficients=False)
    assert len(optimizers(layer, Recipe(coefficient_step_ratio=0.01), bfloat16=False)) == 1

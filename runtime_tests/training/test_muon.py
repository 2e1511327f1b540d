"""Muon for banks: against singular values and an implementation by numpy, in float64."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from legoexport.models.lego_conv import LegoConv2d
from legoexport.training.muon import BankMuon, orthogonalized
from legoexport.training.optimizers import optimizers, set_rates
from legoexport.training.recipe import Recipe
from runtime_tests.training.tiny import tiny_net


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_directions_stay_and_singular_values_become_alike(
    rows: int, columns: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    left, values, right = np.linalg.svd(matrix.numpy(), full_matrices=False)
    inner = left.T @ orthogonalized(matrix).numpy() @ right.T
    # The polynomial is odd, so it changes singular values alone; the sums are of float64.
    np.testing.assert_allclose(inner, np.diag(np.diag(inner)), atol=1e-9)
    long = values >= 0.05 * np.linalg.norm(values)  # 5 rounds lift shorter ones less
    assert np.all((np.diag(inner)[long] > 0.5) & (np.diag(inner)[long] < 1.3))


def test_each_step_moves_a_bank_by_its_share() -> None:
    bank = nn.Parameter(torch.randn(4, 3, 3, 3, dtype=torch.float64))
    muon = BankMuon([bank], 0.01, 0.9, bfloat16=False)
    expected, mean = bank.detach().numpy().copy(), np.zeros((4, 3, 3, 3))
    for step in range(3):
        gradient = torch.randn_like(bank) * 10.0**step
        bank.grad = gradient
        muon.step()
        mean = 0.9 * mean + 0.1 * gradient.numpy()
        ahead = torch.tensor(0.1 * gradient.numpy() + 0.9 * mean)
        direction = orthogonalized(ahead.flatten(1)).numpy().reshape(expected.shape)
        length = 0.01 * np.linalg.norm(expected)
        expected -= length * direction / np.linalg.norm(direction)
        np.testing.assert_allclose(bank.detach().numpy(), expected, rtol=1e-12)


def test_in_bfloat16_the_direction_is_nearly_the_same() -> None:
    start, gradient = torch.randn(2, 8, 3, 3, 3)
    moved = []
    for bfloat16 in (False, True):
        bank = nn.Parameter(start.clone())
        bank.grad = gradient.clone()
        BankMuon([bank], 0.1, 0.9, bfloat16=bfloat16).step()
        moved.append((bank.detach() - start).flatten())
    # bfloat16 has 8 bits: 0.4 % in each of some ten products that follow one another.
    exact, rounded = moved
    assert float(F.cosine_similarity(exact, rounded, dim=0)) > 0.99
    assert float(rounded.norm() / start.norm()) == pytest.approx(0.1, rel=0.01)


def test_the_layout_of_a_bank_changes_nothing() -> None:
    bank = nn.Parameter(torch.randn(4, 3, 3, 3, dtype=torch.float64))
    other = nn.Parameter(bank.detach().clone().to(memory_format=torch.channels_last))
    gradient = torch.randn_like(bank)
    for each in (bank, other):
        each.grad = gradient.to(memory_format=torch.preserve_format).clone()
        BankMuon([each], 0.1, 0.9, bfloat16=False).step()
    torch.testing.assert_close(other, bank, rtol=1e-12, atol=0)
    assert other.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("gradient", [None, torch.zeros(2, 3, 1, 1)], ids=["none", "zero"])
def test_a_bank_without_a_direction_stays(gradient: torch.Tensor | None) -> None:
    bank = nn.Parameter(torch.ones(2, 3, 1, 1))
    bank.grad = gradient
    BankMuon([bank], 0.1, 0.9, bfloat16=False).step()
    assert torch.equal(bank, torch.ones(2, 3, 1, 1))


def test_banks_alone_are_muons_and_each_parameter_moves_once() -> None:
    net = tiny_net()
    sgd, muon = optimizers(net, Recipe(bank_step_ratio=0.01, mask_rate_ratio=0.5), bfloat16=False)
    assert isinstance(muon, BankMuon)
    (group,) = muon.param_groups
    assert [id(each) for each in group["params"]] == [id(net.lego.lego)]
    moved = [
        id(each) for one in (sgd, muon) for group in one.param_groups for each in group["params"]
    ]
    assert sorted(moved) == sorted(id(each) for each in net.parameters())
    set_rates((sgd, muon), 0.5)
    rates = [group["lr"] for one in (sgd, muon) for group in one.param_groups]
    assert rates == [0.05, 0.025, 0.005]


def test_without_a_ratio_or_without_banks_there_is_sgd_alone() -> None:
    assert len(optimizers(tiny_net(), Recipe(), bfloat16=False)) == 1
    assert len(optimizers(nn.Conv2d(3, 4, 3), Recipe(bank_step_ratio=0.01), bfloat16=False)) == 1


def test_a_saved_optimizer_goes_on_with_its_momentum() -> None:
    layer = LegoConv2d(4, 4, 3, o=2, m=2)
    other = copy.deepcopy(layer)
    first, second = (BankMuon([each.lego], 0.1, 0.9, bfloat16=False) for each in (layer, other))
    gradients = torch.randn(2, *layer.lego.shape)
    layer.lego.grad, other.lego.grad = gradients[0], gradients[0].clone()
    first.step()
    with torch.no_grad():
        other.lego.copy_(layer.lego)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for each, optimizer in ((layer, first), (other, second)):
        each.lego.grad = gradients[1].clone()
        optimizer.step()
    assert torch.equal(layer.lego, other.lego)

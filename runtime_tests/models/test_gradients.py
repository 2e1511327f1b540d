"""Gradients by the definition: straight through to the logits, balanced as published."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from legoexport.models.lego_conv import LegoConv2d, imbalance
from runtime_tests.models.layers import TrainingCase, gradients, training_cases

# Sums of some thousand float64 products, compared with the largest entry.
FLOAT64_TOLERANCE = 1e-11


def assert_close(actual: Tensor | None, expected: np.ndarray) -> None:
    assert actual is not None
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=0, atol=FLOAT64_TOLERANCE * scale)


@settings(max_examples=200, deadline=None)
@given(case=training_cases(), masks_settled=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_every_gradient_is_that_of_the_definition(
    case: TrainingCase, masks_settled: bool, seed: int
) -> None:
    layer = case.layer
    if masks_settled:
        layer.freeze_masks()
    y = layer(torch.tensor(case.x))
    upstream = np.random.default_rng(seed).standard_normal(y.shape)
    y.backward(torch.tensor(upstream))
    expected = gradients(case, upstream)
    if not masks_settled:
        assert layer.mask_logits.grad is not None
        assert_close(layer.mask_logits.grad, expected.mask)
    assert_close(layer.lego.grad, expected.lego)
    if layer.coefficients is not None:
        assert_close(layer.coefficients.grad, expected.coefficients)
    if layer.bias is not None:
        assert_close(layer.bias.grad, expected.bias)


def published_balance(choices: np.ndarray, m: int, weight: float) -> np.ndarray:
    """What the published training loop adds to the gradient of filter j's logits, ``(m,)``."""
    average = choices.size / m
    added = np.zeros(m)
    for j in range(m):
        count = int((choices == j).sum())
        if count > np.ceil(average):
            added[j] += weight * (count - np.ceil(average))
        elif count < np.floor(average):
            added[j] -= weight * (np.floor(average) - count)
    return added


@settings(max_examples=200, deadline=None)
@given(
    m=st.integers(1, 9), o=st.integers(1, 4), n=st.integers(1, 12), seed=st.integers(0, 2**32 - 1)
)
def test_the_balance_term_is_the_published_one(m: int, o: int, n: int, seed: int) -> None:
    choices = np.random.default_rng(seed).integers(0, m, (o, n))
    expected = published_balance(choices, m, 1.0)
    np.testing.assert_array_equal(imbalance(torch.tensor(choices), m).numpy(), expected)


def mask_gradient(layer: LegoConv2d, x: Tensor) -> Tensor:
    layer.zero_grad()
    layer(x).square().sum().backward()
    assert layer.mask_logits.grad is not None
    return layer.mask_logits.grad.clone()


def lopsided_layer() -> LegoConv2d:
    torch.manual_seed(0)
    layer = LegoConv2d(4, 12, 3, o=2, m=4).double()
    with torch.no_grad():
        layer.mask_logits[:, :9, 1] += 1  # 18 of 24 choices or more, 6 would be even
    return layer


def test_balance_adds_to_the_gradient_and_to_nothing_else() -> None:
    layer = lopsided_layer()
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)
    y, plain = layer(x), mask_gradient(layer, x)
    others = [p.grad.clone() for p in (layer.lego, layer.coefficients)]
    handle = layer.balance_masks(1e-2)
    assert torch.equal(layer(x), y)
    added = mask_gradient(layer, x) - plain
    expected = published_balance(layer.choices().numpy(), layer.m, 1e-2)
    assert expected[1] > 0
    assert expected.min() < 0
    # The sum is exact to a rounding of the plain gradient.
    tolerance = 1e-15 * plain.abs().max().item()
    np.testing.assert_allclose(added, np.broadcast_to(expected, added.shape), 0, tolerance)
    after = [p.grad.clone() for p in (layer.lego, layer.coefficients)]
    assert all(torch.equal(a, b) for a, b in zip(others, after, strict=True))
    handle.remove()
    assert torch.equal(mask_gradient(layer, x), plain)


def test_balance_acts_once_however_often_the_layer_is_used() -> None:
    layer = lopsided_layer()
    x = torch.randn(2, 4, 6, 6, dtype=torch.float64)

    def twice() -> Tensor:
        layer.zero_grad()
        (layer(x).sum() + layer(x.flip(3)).square().sum()).backward()
        return layer.mask_logits.grad.clone()

    plain = twice()
    layer.balance_masks(1e-2)
    expected = published_balance(layer.choices().numpy(), layer.m, 1e-2)
    np.testing.assert_allclose((twice() - plain).mean((0, 1)), expected, rtol=1e-9)


def test_a_copy_is_made_without_balance() -> None:
    layer = lopsided_layer()
    x = torch.randn(1, 4, 6, 6, dtype=torch.float64)
    plain = mask_gradient(layer, x)
    layer.balance_masks(1e-2)
    assert torch.equal(mask_gradient(copy.deepcopy(layer), x), plain)


@pytest.mark.parametrize("kernel", [1, 3])
def test_the_published_forward_gives_the_same_output_and_gradients(kernel: int) -> None:
    """There the mask is a leaf made anew each step, whose gradient is copied to the logits."""
    torch.manual_seed(0)
    layer = LegoConv2d(8, 6, kernel, o=2, m=5, padding=kernel // 2, bias=False).double()
    x = torch.randn(3, 8, 7, 7, dtype=torch.float64)
    lego, coefficients = (
        p.detach().clone().requires_grad_() for p in (layer.lego, layer.coefficients)
    )
    mask = torch.eye(5, dtype=torch.float64)[layer.choices()].requires_grad_()
    y = torch.zeros(())
    for fragment, table in zip(x.split(4, dim=1), coefficients * mask, strict=True):
        maps = F.conv2d(fragment, lego, padding=kernel // 2)
        y = y + F.conv2d(maps, table[:, :, None, None])
    ours = layer(x)
    torch.testing.assert_close(ours, y, rtol=0, atol=1e-13)
    for output in (ours, y):
        output.square().sum().backward()
    pairs = ((layer.mask_logits, mask), (layer.lego, lego), (layer.coefficients, coefficients))
    for own, published in pairs:
        assert_close(own.grad, published.grad.numpy())

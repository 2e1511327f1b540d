"""A fitted layer: exact where it can be, settled masks, coefficients that are the best for each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from legoexport.compile.freeze import audit_layer
from legoexport.errors import CheckpointError
from legoexport.models.fitting.cluster import FitOptions
from legoexport.models.fitting.layer import LayerFit, fit_layer, fragments
from legoexport.models.lego_conv import LegoConv2d

# Bank and coefficients are stored as float32, 6e-8 each; a wrong choice shows as 1e-1.
FLOAT32 = 1e-6


def fit(layer: LegoConv2d, weight: Tensor) -> LayerFit:
    return fit_layer(layer, weight, "conv", FitOptions())


@st.composite
def layers(draw: st.DrawFn) -> tuple[LegoConv2d, LegoConv2d]:
    """A layer with random weights, and one like it to be fitted."""
    o, part, n = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 8))
    m, kernel = draw(st.integers(1, 4)), draw(st.sampled_from([(1, 1), (3, 3), (1, 3)]))
    coefficients, seed = draw(st.booleans()), draw(st.integers(0, 2**31))
    torch.manual_seed(seed)
    one, other = (
        LegoConv2d(o * part, n, kernel, o=o, m=m, coefficients=coefficients) for _ in range(2)
    )
    return one, other


@given(layers())
@settings(max_examples=40, deadline=None)
def test_a_lego_layer_is_recovered_exactly(pair: tuple[LegoConv2d, LegoConv2d]) -> None:
    original, fitted = pair
    weight = original.weight().detach()
    report = fit(fitted, weight)
    assert report.relative_error_ratio <= FLOAT32
    torch.testing.assert_close(
        fitted.weight().detach(), weight, rtol=0, atol=FLOAT32 * float(weight.abs().max()) * 10
    )


@given(layers(), st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_the_report_is_true_and_the_masks_are_settled(
    pair: tuple[LegoConv2d, LegoConv2d], seed: int
) -> None:
    layer, _ = pair
    generator = np.random.default_rng(seed)
    shape = (layer.out_channels, layer.in_channels, *layer.kernel_size)
    weight = generator.standard_normal(shape)
    report = fit(layer, torch.tensor(weight, dtype=torch.float32))
    difference = np.linalg.norm(weight - layer.weight().detach().double().numpy())
    assert report.relative_error_ratio == pytest.approx(
        difference / np.linalg.norm(weight), rel=1e-5, abs=FLOAT32
    )
    assert report.relative_error_ratio <= 1 + FLOAT32
    assert (report.vectors_count, report.m) == (layer.o * layer.out_channels, layer.m)
    audit = audit_layer(layer, "conv")
    assert (audit.ties_count, audit.thin_margins_count) == (0, 0)
    assert audit.unused_filters_count == report.unused_filters_count


def test_each_fragment_gets_its_own_filters() -> None:
    """Not those of another fragment or of another output: the table is (fragment, output)."""
    weight = torch.arange(2 * 6 * 2.0).reshape(2, 6, 1, 2)
    rows = fragments(weight, 3)
    for i in range(3):
        for n in range(2):
            assert rows[i * 2 + n].tolist() == weight[n, 2 * i : 2 * i + 2].flatten().tolist()


def test_coefficients_that_are_not_chosen_are_the_best_for_their_filter() -> None:
    torch.manual_seed(0)
    layer = LegoConv2d(4, 5, 3, o=2, m=3)
    weight = torch.randn(5, 4, 3, 3)
    fit(layer, weight)
    bank = layer.lego.detach().double().flatten(1).numpy()
    assert layer.coefficients is not None
    for i in range(2):
        for n in range(5):
            part = weight[n, 2 * i : 2 * i + 2].double().flatten().numpy()
            for j in range(3):
                best = np.linalg.lstsq(bank[j][:, None], part, rcond=None)[0][0]
                assert layer.coefficients[i, n, j].item() == pytest.approx(best, rel=1e-4, abs=1e-6)


def test_the_bank_carries_the_size_and_the_coefficients_are_about_one() -> None:
    torch.manual_seed(0)
    layer = LegoConv2d(8, 32, 3, o=2, m=8)
    fit(layer, 0.01 * torch.randn(32, 8, 3, 3))
    assert layer.coefficients is not None
    chosen = layer.coefficients.detach().gather(2, layer.choices()[..., None])[..., 0]
    for j in range(8):
        used = chosen[layer.choices() == j]
        assert float(used.square().mean()) == pytest.approx(1, rel=1e-5)
        assert float(used.sum()) >= 0


def test_masks_prefer_what_explains_more_and_can_still_change() -> None:
    torch.manual_seed(0)
    layer = LegoConv2d(8, 16, 3, o=2, m=8)
    weight = torch.randn(16, 8, 3, 3)
    fit(layer, weight)
    bank = layer.lego.detach().double().flatten(1)
    for i in range(2):
        for n in range(16):
            part = weight[n, 4 * i : 4 * i + 4].double().reshape(1, -1)
            explained = torch.nn.functional.cosine_similarity(part, bank).square()
            assert layer.mask_logits[i, n].argsort().tolist() == explained.argsort().tolist()
    assert layer.mask_logits.requires_grad
    # Those of a new layer have a standard deviation of 0.01: as close together as these.
    assert 0.002 < layer.mask_logits.detach().std().item() < 0.02
    layer.weight().square().sum().backward()
    assert layer.mask_logits.grad is not None
    assert layer.mask_logits.grad.any()


def test_the_bias_is_left_alone_and_zeros_are_described() -> None:
    layer = LegoConv2d(4, 3, 3, o=2, m=2, bias=True)
    assert layer.bias is not None
    torch.nn.init.constant_(layer.bias, 7)
    report = fit(layer, torch.zeros(3, 4, 3, 3))
    assert report.relative_error_ratio == 0
    assert not layer.weight().any()
    assert (layer.bias == 7).all()
    assert audit_layer(layer, "conv").thin_margins_count == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_diverged_weight_is_named(value: float) -> None:
    weight = torch.randn(3, 4, 3, 3)
    weight[1, 2, 0, 0] = value
    with pytest.raises(CheckpointError, match="layer conv: the dense weight"):
        fit(LegoConv2d(4, 3, 3, o=2, m=2), weight)

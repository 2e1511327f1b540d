"""What a full run consists of."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from benchmarks.networks import NETWORKS, Network, layer
from benchmarks.points import AXES, all_points, parse
from benchmarks.settings import settings_for
from benchmarks.torch_side import PaperForm, one_layer
from legoexport.errors import UsageError
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.registry import complete


@pytest.mark.parametrize("budget_min", [0, -1, math.inf, math.nan])
def test_a_budget_is_positive_and_finite(budget_min: float) -> None:
    with pytest.raises(UsageError, match="--budget"):
        settings_for(budget_min, 4)


def test_twice_the_budget_is_twice_the_time() -> None:
    once, twice = settings_for(10, 4), settings_for(20, 4)
    assert twice.model_s == pytest.approx(2 * once.model_s)
    assert twice.tune_s == pytest.approx(2 * once.tune_s)
    assert once.threads == (1, 4)
    assert settings_for(10, 1).threads == (1,)


@pytest.mark.parametrize("network", NETWORKS.values(), ids=str)
def test_networks_are_ones_that_the_product_builds(network: Network) -> None:
    assert network.size == complete(network.arch, network.hyperparameters)["input_size"]


def test_points_have_names_of_their_own() -> None:
    points = [*all_points(settings_for(10, 4))]
    keys = Counter((point.name, point.threads) for point in points)
    assert max(keys.values()) == 1
    assert {parse(point.name) for point in points} == {(p.axis, p.value) for p in points}
    assert {point.axis for point in points} == set(AXES)
    assert layer(56, 0.25).name != layer(56).name


@pytest.mark.parametrize("coefficients", [True, False])
@pytest.mark.parametrize("stride", [1, 2])
def test_the_naive_form_computes_the_layer(*, coefficients: bool, stride: int) -> None:
    torch.manual_seed(0)
    layer = LegoConv2d(
        6, 8, 3, o=3, m=4, stride=stride, padding=1, coefficients=coefficients
    ).double()
    assert layer.bias is not None
    torch.nn.init.normal_(layer.bias)
    x = torch.randn(2, 6, 7, 5, dtype=torch.double)
    # Sums of 54 products in double precision, in another order.
    torch.testing.assert_close(PaperForm(layer)(x), layer(x), rtol=1e-10, atol=1e-12)


def test_the_layer_of_the_curves_is_a_lego_layer() -> None:
    made = one_layer(channels=8, o=2, m_ratio=0.25)
    (found,) = (module for module in made.modules() if isinstance(module, LegoConv2d))
    assert (found.m, found.o, found.out_channels) == (2, 2, 8)

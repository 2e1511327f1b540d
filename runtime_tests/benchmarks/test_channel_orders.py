"""Orders of channels: the dense function stays, and none is better than the best."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from benchmarks.channel_orders import ORDERS, best_order, permuted
from legoexport.models.registry import build


@pytest.mark.parametrize("name", ORDERS)
def test_a_permuted_network_computes_the_same(name: str) -> None:
    torch.manual_seed(0)
    dense = build("digits", width=0.125).double().eval()
    for norm in dense.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in norm.state_dict().values():
                if tensor.is_floating_point():
                    nn.init.uniform_(tensor, 0.5, 1.5)
    images = torch.randn(6, 1, 8, 8, dtype=torch.float64)
    changed = permuted(dense, images, ORDERS[name], o=2, seed=1)
    weights = (each.state_dict()["features.3.weight"] for each in (changed, dense))
    moved = not torch.equal(*weights)
    assert moved == (name != "as trained")
    with torch.no_grad():
        # Sums of at most 288 float64 products, in another order.
        torch.testing.assert_close(changed(images), dense(images), rtol=1e-12, atol=1e-12)


def test_no_order_is_better_than_the_best() -> None:
    torch.manual_seed(0)
    weight, described = torch.randn(2, 3, 5, 2, 2, dtype=torch.float64)
    errors = [
        float((weight[:, list(order)] - described).square().sum())
        for order in itertools.permutations(range(5))
    ]
    found = float((weight[:, best_order(weight, described)] - described).square().sum())
    # The same float64 numbers are added up.
    assert found == pytest.approx(min(errors), rel=1e-12)

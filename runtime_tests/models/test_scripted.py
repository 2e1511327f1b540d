"""LegoConv2d goes through TorchScript and torch.fx, with its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from legoexport.models.lego_conv import LegoConv2d

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated")
# One order of summation or another of at most 72 products: 72 float32 roundings of about 1.
TOLERANCE = 72 * 2.0**-24 * 4
FOLLOW: dict[str, Callable[[nn.Module], Any]] = {
    "TorchScript": torch.jit.script,
    "torch.fx": torch.fx.symbolic_trace,
}


def network(*, coefficients: bool, bias: bool) -> nn.Module:
    torch.manual_seed(0)
    settings = {"coefficients": coefficients, "bias": bias}
    return nn.Sequential(
        LegoConv2d(8, 8, 3, o=2, m=4, padding=1, **settings),
        nn.ReLU(),
        LegoConv2d(8, 16, 3, o=4, m=3, stride=2, dilation=2, **settings),
    )


def gradients(module: nn.Module, x: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    module(x).square().mean().backward()
    return {name: one.grad.clone() for name, one in module.named_parameters()}


@pytest.mark.parametrize("follow", FOLLOW)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("coefficients", [False, True])
def test_a_followed_layer_computes_the_same(
    follow: str, *, training: bool, coefficients: bool
) -> None:
    module = network(coefficients=coefficients, bias=not coefficients).train(training)
    x = torch.randn(2, 8, 9, 7)
    followed = FOLLOW[follow](module)
    assert (followed(x) - module(x)).abs().max() <= TOLERANCE
    expected = gradients(module, x)
    for name, gradient in gradients(followed, x).items():
        assert (gradient - expected[name]).abs().max() <= TOLERANCE, name

"""Split, transform, merge gives what the assembled weight gives, forward and backward."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from legoexport.models import lego_conv
from legoexport.models.lego_conv import LegoConv2d

# float64 sums of some hundred numbers of about one, in another order.
TOLERANCE = 1e-11


def outcome(layer: LegoConv2d, x: Tensor) -> dict[str, Tensor | None]:
    layer.zero_grad()
    x = x.clone().requires_grad_()
    y = layer(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in layer.named_parameters()}
    return {"y": y.detach(), "x": x.grad, **gradients}


@pytest.mark.parametrize("masks_settled", [False, True])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"coefficients": False},
        {"bias": False},
        {"o": 4, "m": 3},
        {"o": 1, "m": 20},
        {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)},
        {"kernel_size": 1, "padding": 0},
    ],
    ids=str,
)
def test_both_forms_agree(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], masks_settled: bool
) -> None:
    torch.manual_seed(0)
    arguments = {"in_channels": 8, "out_channels": 10, "kernel_size": 3, "o": 2, "m": 5}
    layer = LegoConv2d(**{**arguments, "padding": 1, **changes}).double()
    if masks_settled:
        layer.freeze_masks()
    x = torch.randn(3, 8, 7, 6, dtype=torch.float64)
    found = []
    for pays_from in (-10_000, 10_000):
        monkeypatch.setattr(lego_conv, "SPLIT_PAYS_FROM", pays_from)
        assert layer._split_pays() == (pays_from < 0)
        found.append(outcome(layer, x))
    split, assembled = found
    for name, wanted in assembled.items():
        if wanted is None:
            assert split[name] is None
        else:
            torch.testing.assert_close(split[name], wanted, rtol=0, atol=TOLERANCE)
    assert split["y"] is not None
    assert split["y"].abs().max() > 0


def test_wide_layers_split_and_narrow_ones_do_not() -> None:
    wide = LegoConv2d(512, 512, 3, o=2, m_ratio=0.5)
    narrow = LegoConv2d(64, 64, 3, o=2, m_ratio=0.5)
    pointwise = LegoConv2d(512, 512, 1, o=2, m_ratio=0.5)
    assert [layer._split_pays() for layer in (wide, narrow, pointwise)] == [True, False, False]

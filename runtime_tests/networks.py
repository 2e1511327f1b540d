"""Small networks with Lego layers, for tests of whole stages."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from legoexport.compile.stages import Prepared
from legoexport.models.lego_conv import LegoConv2d
from legoexport.passes.lowerings import find_lowering
from legoexport.passes.plan import Plan


class SmallNet(nn.Module):
    """Dense stem, three Lego layers of different geometry, pooling and a classifier."""

    def __init__(self, *, coefficients: bool = True) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.stem_norm = nn.BatchNorm2d(16)
        self.first = LegoConv2d(
            16, 24, 3, o=2, m_ratio=0.5, padding=1, bias=False, coefficients=coefficients
        )
        self.first_norm = nn.BatchNorm2d(24)
        self.second = LegoConv2d(
            24, 32, 3, o=4, m=9, stride=2, padding=1, bias=True, coefficients=coefficients
        )
        self.third = LegoConv2d(32, 32, 1, o=2, m_ratio=0.5, bias=False, coefficients=coefficients)
        self.third_norm = nn.BatchNorm2d(32)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_norm(self.stem(x)).relu()
        x = self.first_norm(self.first(x)).relu()
        x = self.second(x).relu()
        x = self.third_norm(self.third(x)).relu()
        y: Tensor = self.classifier(self.pool(x).flatten(1))
        return y


def randomize(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every batch norm statistics as training leaves them, and every mask random logits."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean = torch.randn(layer.num_features, generator=generator) * 0.1
            layer.running_var = torch.rand(layer.num_features, generator=generator) + 0.5
            nn.init.normal_(layer.weight, 1.0, 0.2, generator=generator)
            nn.init.normal_(layer.bias, 0.0, 0.2, generator=generator)
        elif isinstance(layer, LegoConv2d):
            nn.init.normal_(layer.mask_logits, generator=generator)
    return module


def small_net(seed: int = 0, *, coefficients: bool = True) -> nn.Module:
    """A SmallNet with settled statistics, in train mode."""
    torch.manual_seed(seed)
    return randomize(SmallNet(coefficients=coefficients), seed)


def plan_where_it_serves(prepared: Prepared, lowering: str) -> Plan:
    """Lower with ``lowering`` wherever it does not decline, and grouped elsewhere."""
    declined = {site.layer: find_lowering(lowering).declines(site) for site in prepared.sites}
    return Plan({name: "grouped" if reason else lowering for name, reason in declined.items()})

"""Networks that are not ours, as people write them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DenseBlockNet(nn.Module):
    """In the manner of DenseNet: every layer reads all before it, by concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.layers = nn.ModuleList(self._layer(8 + 7 * depth) for depth in range(3))
        self.transition = nn.Conv2d(29, 16, 1)
        self.head = nn.Linear(16, 5)

    @staticmethod
    def _layer(channels: int) -> nn.Sequential:
        conv = nn.Conv2d(channels, 7, 3, padding=1, bias=False)
        return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(), conv)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        scores: Tensor = self.head(self.transition(x).mean((2, 3)))
        return scores


class Inception(nn.Module):
    """Branches of several kernels and dilations, some padded 'same', grouped, reflecting."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, (3, 5), padding="same")
        self.point = nn.Conv2d(16, 8, 1, padding="valid")
        self.wide = nn.Conv2d(16, 8, (1, 7), padding="same", bias=False)
        self.dilated = nn.Conv2d(16, 8, 3, padding="same", dilation=(2, 3))
        self.even = nn.Conv2d(16, 8, 2, padding="same", bias=False)
        self.grouped = nn.Conv2d(16, 8, 3, padding=1, groups=4)
        self.reflecting = nn.Conv2d(16, 8, 3, padding=1, padding_mode="reflect")
        self.reduce = nn.Conv2d(48, 12, 3, stride=2, dilation=2)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        branches = [self.point, self.wide, self.dilated, self.even, self.grouped, self.reflecting]
        y: Tensor = self.reduce(torch.cat([branch(x) for branch in branches], dim=1))
        return y


class UNet(nn.Module):
    """Down, up by a transposed convolution, and a shortcut; the bottom runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.bottom = nn.Conv2d(8, 8, 3, padding=1)
        self.again = self.bottom
        self.up = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.out = nn.Conv2d(11, 4, 3, padding=1)
        self.refine = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.down(x))
        y = F.relu(self.again(F.relu(self.bottom(y))))
        y = torch.cat([x, self.up(y)], dim=1)
        z: Tensor = self.refine(F.relu(self.out(y)))
        return z

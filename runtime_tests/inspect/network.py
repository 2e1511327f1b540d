"""A network with Lego layers, one of them called twice."""

from __future__ import annotations

from torch import Tensor, nn

from legoexport.models.lego_conv import LegoConv2d

INPUT_SHAPE = (3, 12, 10)


class Network(nn.Module):
    """Lego layers between a dense stem and a linear head; one of them is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.twice = LegoConv2d(8, 8, 3, o=2, m=5, padding=1, bias=False)
        self.wide = LegoConv2d(8, 12, 1, o=4, m_ratio=0.5, stride=2)
        self.norm = nn.BatchNorm2d(12)
        self.head = nn.Linear(12, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(self.twice(self.stem(x)).relu()).relu()
        x = self.norm(self.wide(x)).relu()
        return self.head(x.mean((2, 3)))

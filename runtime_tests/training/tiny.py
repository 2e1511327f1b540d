"""A small network and small data on which a training takes a second."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from legoexport.models.lego_conv import LegoConv2d
from legoexport.training.data.images import ImageData
from legoexport.training.recipe import Recipe

RECIPE = Recipe(
    epochs=4,
    batch_size=8,
    learning_rate=0.05,
    schedule="one_cycle",
    label_smoothing=0.1,
    balance_weight=1e-3,
    warmup_epochs=2,
    max_shift_pixels=1,
    ema_decay=0.9,
)


class TinyNet(nn.Module):
    """Batch norms before and after a Lego layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.lego = LegoConv2d(8, 12, 3, o=2, m_ratio=0.5, padding=1)
        self.last = nn.BatchNorm2d(12)
        self.classifier = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.lego(self.norm(self.stem(x)).relu())).relu()
        scores: Tensor = self.classifier(x.mean((2, 3)))
        return scores


def tiny_net(dtype: torch.dtype = torch.float32) -> TinyNet:
    torch.manual_seed(0)
    return TinyNet().to(dtype)


def tiny_data(dtype: torch.dtype = torch.float32, count: int = 35) -> ImageData:
    """Random pictures of three classes; the last batch of eight has three."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, 6, 6, dtype=dtype, generator=generator)
    labels = torch.arange(count) % 3
    images += labels.reshape(-1, 1, 1, 1) * 0.5
    return ImageData(images, labels, images[:10], labels[:10])

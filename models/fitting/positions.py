"""The same positions of the maps of two networks, and the patches that a layer reads there."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from legoexport.models.lego_conv import LegoConv2d


@dataclass(frozen=True)
class Positions:
    """Positions drawn once for each size of map, so that both networks are read at the same ones.

    Attributes:
        images_count: Pictures N.
        count: Positions to draw altogether; small maps have fewer.
        seed: Seed of the draws.
    """

    images_count: int
    count: int
    seed: int
    _drawn: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def at(self, height: int, width: int) -> Tensor:
        """Return ``(N, k)`` int64 flat positions in maps of this size, on the CPU."""
        if (height, width) not in self._drawn:
            each = min(height * width, -(-self.count // self.images_count))
            generator = torch.Generator().manual_seed(self.seed)
            odds = torch.rand(self.images_count, height * width, generator=generator)
            self._drawn[height, width] = odds.topk(each, dim=1).indices
        return self._drawn[height, width]

    def sample(self, maps: Tensor, first: int = 0) -> Tensor:
        """Return the values at the positions, ``(N * k, c)``.

        Args:
            maps: ``(N, c, h, w)``, or some of the pictures.
            first: Number of the first picture.
        """
        chosen = self.at(*maps.shape[2:])[first : first + len(maps)].to(maps.device)
        index = chosen[:, None].expand(-1, maps.shape[1], -1)
        return maps.flatten(2).gather(2, index).transpose(1, 2).flatten(0, 1)

    def patches(self, layer: LegoConv2d, maps: Tensor) -> Tensor:
        """Return what ``layer`` reads for the positions of its output, ``(N * k, c * kh * kw)``.

        Args:
            layer: The layer.
            maps: ``(N, c, h, w)`` its input.
        """
        (top, left), (height, width) = layer.padding, layer.kernel_size
        padded = F.pad(maps, (left, left, top, top))
        tall, wide = (
            (extent - dilation * (kernel - 1) - 1) // stride + 1
            for extent, dilation, kernel, stride in zip(
                padded.shape[2:], layer.dilation, layer.kernel_size, layer.stride, strict=True
            )
        )
        chosen = self.at(tall, wide).to(maps.device)
        rows, columns = chosen // wide * layer.stride[0], chosen % wide * layer.stride[1]
        images = torch.arange(len(maps), device=maps.device)[:, None]
        seen = [
            padded[images, :, rows + i * layer.dilation[0], columns + j * layer.dilation[1]]
            for i in range(height)
            for j in range(width)
        ]
        return torch.stack(seen, dim=3).flatten(0, 1).flatten(1)

"""The same positions of the maps of two networks, and the patches that a layer reads there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from legoexport.models.lego_conv import LegoConv2d

# Odds of all positions of a few pictures at a time: of large maps they take the most memory.
ROWS_AT_A_TIME = 256


@dataclass(frozen=True)
class Positions:
    """Positions drawn once for each size of map, so that both networks are read at the same ones.

    Attributes:
        images_count: Pictures N.
        count: Positions to draw altogether; small maps have fewer. Of more pictures than that, the
            first have one each.
        seed: Seed of the draws.
    """

    images_count: int
    count: int
    seed: int
    _drawn: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def at(self, height: int, width: int) -> Tensor:
        """Return int64 flat positions in maps of this size, on the CPU.

        They are ``(N, k)``, or fewer rows than pictures where one for each would be too many.
        """
        if (height, width) not in self._drawn:
            self._drawn[height, width] = torch.cat(list(self._rows(height * width)))
        return self._drawn[height, width]

    def _rows(self, size: int) -> Iterator[Tensor]:
        each = min(size, -(-self.count // self.images_count))
        generator = torch.Generator().manual_seed(self.seed)
        left = min(self.images_count, self.count)
        while left:
            count = min(left, ROWS_AT_A_TIME)
            yield torch.rand(count, size, generator=generator).topk(each, dim=1).indices
            left -= count

    def sample(self, maps: Tensor, first: int = 0) -> Tensor:
        """Return the values at the positions, ``(N * k, c)``.

        Args:
            maps: ``(N, c, h, w)``, or some of the pictures.
            first: Number of the first picture.
        """
        chosen = self._of(maps, first, *maps.shape[2:])
        maps = maps[: len(chosen)]
        index = chosen[:, None].expand(-1, maps.shape[1], -1)
        return maps.flatten(2).gather(2, index).transpose(1, 2).flatten(0, 1)

    def patches(self, layer: LegoConv2d, maps: Tensor, first: int = 0) -> Tensor:
        """Return what ``layer`` reads for the positions of its output, ``(N * k, c * kh * kw)``.

        Args:
            layer: The layer.
            maps: ``(N, c, h, w)`` its input, or that of some of the pictures.
            first: Number of the first picture.
        """
        (top, left), (height, width) = layer.padding, layer.kernel_size
        padded = F.pad(maps, (left, left, top, top))
        tall, wide = (
            (extent - dilation * (kernel - 1) - 1) // stride + 1
            for extent, dilation, kernel, stride in zip(
                padded.shape[2:], layer.dilation, layer.kernel_size, layer.stride, strict=True
            )
        )
        chosen = self._of(maps, first, tall, wide)
        rows, columns = chosen // wide * layer.stride[0], chosen % wide * layer.stride[1]
        images = torch.arange(len(chosen), device=maps.device)[:, None]
        seen = [
            padded[images, :, rows + i * layer.dilation[0], columns + j * layer.dilation[1]]
            for i in range(height)
            for j in range(width)
        ]
        return torch.stack(seen, dim=3).flatten(0, 1).flatten(1)

    def _of(self, maps: Tensor, first: int, height: int, width: int) -> Tensor:
        return self.at(height, width)[first : first + len(maps)].to(maps.device)

"""Random changes to pictures, in tensor operations on whole batches, fixed by a generator.

The random numbers are drawn on the CPU and for the whole batch, even if a process takes only a
share of it, so that the pictures are the same on any device and with any number of processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from legoexport.training.recipe import Recipe


@dataclass(frozen=True)
class Changes:
    """What happens to each picture of a batch.

    Attributes:
        mirrored: ``(b,)`` bool.
        tops: First row of the crop from the padded picture, ``(b,)`` int64.
        lefts: First column, ``(b,)`` int64.
    """

    mirrored: Tensor
    tops: Tensor
    lefts: Tensor

    def share(self, part: slice) -> Changes:
        """Return the changes of a part of the batch."""
        return Changes(self.mirrored[part], self.tops[part], self.lefts[part])

    def to(self, device: torch.device) -> Changes:
        """Return the same changes on a device."""
        return Changes(*(each.to(device) for each in (self.mirrored, self.tops, self.lefts)))


def joined(parts: Sequence[Changes]) -> Changes:
    """Return the changes of several batches, one after the other."""
    columns = [(each.mirrored, each.tops, each.lefts) for each in parts]
    return Changes(*(torch.cat(column) for column in zip(*columns, strict=True)))


def draw(recipe: Recipe, count: int, generator: torch.Generator) -> Changes:
    """Draw the changes of ``count`` pictures."""
    mirrored = torch.rand(count, generator=generator) < (0.5 if recipe.flips else 0.0)
    span = 2 * recipe.max_shift_pixels + 1
    tops, lefts = torch.randint(0, span, (2, count), generator=generator).unbind()
    return Changes(mirrored, tops, lefts)


def augment(images: Tensor, recipe: Recipe, changes: Changes) -> Tensor:
    """Return ``(b, c, h, w)`` pictures mirrored, padded and cropped back to their size."""
    changed = flip(images, changes.mirrored) if recipe.flips else images
    if recipe.max_shift_pixels == 0:
        return changed
    padded = pad(changed, recipe.max_shift_pixels, recipe.padding)
    return crop(padded, changes.tops, changes.lefts, (images.shape[2], images.shape[3]))


def flip(images: Tensor, mirrored: Tensor) -> Tensor:
    """Mirror the chosen pictures left to right."""
    chosen = mirrored.to(images.device).reshape(-1, 1, 1, 1)
    return torch.where(chosen, images.flip(3), images)


def pad(images: Tensor, most: int, mode: str) -> Tensor:
    """Add ``most`` pixels on every side: zeros ("constant"), or the border again ("replicate")."""
    if mode == "constant":
        return F.pad(images, [most] * 4)
    rows, columns = (
        torch.arange(-most, size + most, device=images.device).clamp(0, size - 1)
        for size in images.shape[2:]
    )
    return images[:, :, rows[:, None], columns]


def crop(padded: Tensor, tops: Tensor, lefts: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut ``size`` (h, w) from each picture, starting at its own row and column."""
    device = padded.device
    rows = tops.to(device)[:, None] + torch.arange(size[0], device=device)
    columns = lefts.to(device)[:, None] + torch.arange(size[1], device=device)
    batch = torch.arange(len(padded), device=device)[:, None, None]
    # Indexed by (b, h, w) with the channels between them: they come out last.
    return padded[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

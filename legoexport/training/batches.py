"""The batches of an epoch: which pictures, in which order, and how they are changed.

Each step has a generator of its own, seeded from the run's seed and its position. A training that
goes on after it was killed needs no state of a generator, and draws what it would have drawn.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from legoexport.training.augment import Changes, augment, draw, joined
from legoexport.training.data.images import ImageData
from legoexport.training.recipe import Recipe

SEED_BYTES = 8


@dataclass(frozen=True)
class Batch:
    """One process's share of a step.

    Attributes:
        images: ``(b, c, h, w)`` as the network sees them.
        labels: ``(b,)`` int64.
        whole_count: Pictures in the step, over all processes.
    """

    images: Tensor
    labels: Tensor
    whole_count: int


@dataclass(frozen=True)
class Draws:
    """The random numbers of an epoch, on the device of the pictures.

    Attributes:
        order: Which picture is shown when, ``(N,)`` int64.
        changes: What happens to each picture, in this order.
    """

    order: Tensor
    changes: Changes


@dataclass(frozen=True)
class Batches:
    """The batches of a run.

    Attributes:
        data: The pictures.
        recipe: Batch size and augmentation.
        seed: Seed of all random numbers.
        rank: Rank of this process.
        ranks_count: Processes that share each batch.
    """

    data: ImageData
    recipe: Recipe
    seed: int
    rank: int = 0
    ranks_count: int = 1

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch; the last one has the pictures that are left."""
        return -(-len(self.data.train_labels) // self.recipe.batch_size)

    def draw(self, epoch: int) -> Draws:
        """Draw an epoch's numbers at once: a copy to an accelerator in each step would wait."""
        generator = seeded(self.seed, "order", epoch)
        order = torch.randperm(len(self.data.train_labels), generator=generator)
        changes = [
            draw(self.recipe, len(whole), seeded(self.seed, "change", epoch, step))
            for step, whole in enumerate(torch.split(order, self.recipe.batch_size))
        ]
        device = self.data.train_images.device
        return Draws(order.to(device), joined(changes).to(device))

    def at(self, step: int, draws: Draws) -> Batch:
        """Return this process's share of a step of the epoch that was drawn."""
        start = step * self.recipe.batch_size
        end = min(start + self.recipe.batch_size, len(draws.order))
        part = slice(start + self.rank, end, self.ranks_count)
        chosen = draws.order[part]
        images = augment(self.data.train_images[chosen], self.recipe, draws.changes.share(part))
        return Batch(self.data.normalised(images), self.data.train_labels[chosen], end - start)


def seeded(*key: object) -> torch.Generator:
    """Return a generator whose numbers depend on the whole key and on nothing else."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    # Generators take signed 64-bit seeds.
    seed = int.from_bytes(digest[:SEED_BYTES], "little", signed=False) >> 1
    return torch.Generator().manual_seed(seed)

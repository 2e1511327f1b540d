"""A LegoNet brought closer to the dense network as a whole: its scores, without labels."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from legoexport.host.progress import Progress
from legoexport.models.lego_conv import LegoConv2d


@dataclass(frozen=True)
class DistillOptions:
    """How long the whole network is drawn towards the dense one.

    Attributes:
        steps_count: Gradient steps; 0 leaves the network as it is.
        batch_size: Pictures of a step.
        learning_rate: Adam's, at the start; it falls along half a cosine.
        seed: Seed of the order of the pictures.
    """

    steps_count: int = 0
    batch_size: int = 64
    learning_rate: float = 5e-4
    seed: int = 0


def distill(
    lego: nn.Module,
    dense: nn.Module,
    batches: Iterable[Tensor],
    options: DistillOptions,
    progress: Progress = lambda _: None,
) -> None:
    """Train ``lego`` on the scores of ``dense``, in place; masks stay as they are.

    Batch norms compute with the statistics of each batch: calibrate them afterwards.

    Args:
        lego: The fitted network, left in eval mode.
        dense: The trained network, in eval mode.
        batches: Pictures ``(b, c, h, w)`` of each step, prepared as for training; labels are not
            needed.
        options: How long.
        progress: Called with each step and the time that is left.
    """
    masks = [each.mask_logits for each in lego.modules() if isinstance(each, LegoConv2d)]
    learned = [each.requires_grad for each in masks]
    for mask in masks:
        mask.requires_grad = False
    optimizer = torch.optim.Adam(
        [each for each in lego.parameters() if each.requires_grad], lr=options.learning_rate
    )
    started = time.monotonic()
    for step, shown in enumerate(batches):
        share = step / options.steps_count
        progress(f"drawing the scores together{_left(share, time.monotonic() - started)}")
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * (1 + math.cos(math.pi * share)) / 2
        with torch.no_grad():
            expected = dense(shown)
        optimizer.zero_grad()
        distance(lego.train()(shown), expected).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    lego.eval()
    for mask, was_learned in zip(masks, learned, strict=True):
        mask.requires_grad = was_learned


def distance(scores: Tensor, expected: Tensor) -> Tensor:
    """Return the divergence of the class probabilities, a mean over pictures."""
    return divergence(scores, expected) / len(scores)


def divergence(scores: Tensor, expected: Tensor) -> Tensor:
    """Return ``KL(softmax(expected) || softmax(scores))`` of ``(b, classes)``, summed."""
    return F.kl_div(
        scores.log_softmax(1), expected.log_softmax(1), reduction="sum", log_target=True
    )


def draw_batches(images_count: int, options: DistillOptions) -> Iterator[Tensor]:
    """Yield the pictures of each step, ``(b,)`` int64; each is shown before one comes again."""
    generator = torch.Generator().manual_seed(options.seed)
    order, size = torch.empty(0, dtype=torch.int64), min(options.batch_size, images_count)
    for _ in range(options.steps_count):
        if len(order) < size:
            order = torch.randperm(images_count, generator=generator)
        yield order[:size]
        order = order[size:]


def _left(share: float, seconds: float) -> str:
    """Say how much is done and how long the rest will take, once something is done."""
    return f": {share:.0%} done, {seconds * (1 / share - 1):.0f} s left" if share else ""

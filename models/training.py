"""Training a LegoNet: warm-up and balance term as published, one-cycle SGD, fixed by its seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from legoexport.models.digits import ImageData
from legoexport.models.lego_conv import LegoConv2d


@dataclass(frozen=True)
class TrainingOptions:
    """How to train.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images per step.
        learning_rate: Peak of the one-cycle schedule.
        momentum: Of SGD.
        weight_decay: Of SGD; mask logits are not decayed.
        label_smoothing: Of the cross entropy.
        balance_weight: Weight of the published balance term on the mask logits; 0 switches it off.
        warmup_epochs: Epochs after which the masks are frozen; None never freezes them.
        max_shift: Images are shifted at random by up to this many pixels.
        seed: Of everything random.
    """

    epochs: int = 12
    batch_size: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.05
    balance_weight: float = 1e-4
    warmup_epochs: int | None = 4
    max_shift: int = 1
    seed: int = 0


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave.

    Attributes:
        epoch: From 1 on.
        mean_loss: Over the training steps.
        test_accuracy: Share of held-out images that are classified correctly.
        changed_choices_count: Mask entries that chose another filter than an epoch before.
    """

    epoch: int
    mean_loss: float
    test_accuracy: float
    changed_choices_count: int


def train(
    module: nn.Module,
    data: ImageData,
    options: TrainingOptions,
    observe: Callable[[EpochResult], None] = lambda _: None,
) -> tuple[EpochResult, ...]:
    """Train ``module`` in place; the same seed gives the same weights.

    Args:
        module: A network, with Lego layers or without.
        data: Images to train and to test on.
        options: How to train.
        observe: Called after each epoch.
    """
    generator = torch.Generator().manual_seed(options.seed)
    steps = -(-len(data.train_labels) // options.batch_size) * options.epochs
    optimizer = torch.optim.SGD(_groups(module, options), momentum=options.momentum)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, steps, cycle_momentum=False
    )
    balance = [
        layer.balance_masks(options.balance_weight)
        for layer in lego_layers(module)
        if options.balance_weight and layer.mask_logits.requires_grad
    ]
    results = []
    for epoch in range(1, options.epochs + 1):
        if options.warmup_epochs is not None and epoch > options.warmup_epochs:
            freeze_masks(module)
        before = [layer.choices() for layer in lego_layers(module)]
        batches = _batches(data, options, generator)
        loss = _train_epoch(module, batches, options.label_smoothing, optimizer, schedule)
        changed = [
            int((old != layer.choices()).sum())
            for old, layer in zip(before, lego_layers(module), strict=True)
        ]
        accuracy = count_correct(module, data.test_images, data.test_labels)
        results.append(EpochResult(epoch, loss, accuracy / len(data.test_labels), sum(changed)))
        observe(results[-1])
    for handle in balance:
        handle.remove()
    module.eval()
    return tuple(results)


def lego_layers(module: nn.Module) -> Iterator[LegoConv2d]:
    """Yield the Lego layers of ``module``."""
    return (layer for layer in module.modules() if isinstance(layer, LegoConv2d))


def freeze_masks(module: nn.Module) -> None:
    """Stop learning the masks of every Lego layer."""
    for layer in lego_layers(module):
        layer.freeze_masks()


@torch.no_grad()
def count_correct(module: nn.Module, images: Tensor, labels: Tensor, batch_size: int = 256) -> int:
    """Count the images that ``module`` classifies correctly in eval mode."""
    module.eval()
    starts = range(0, len(labels), batch_size)
    scores = torch.cat([module(images[start : start + batch_size]) for start in starts])
    return int((scores.argmax(1) == labels).sum())


def _groups(module: nn.Module, options: TrainingOptions) -> list[dict[str, object]]:
    """Mask logits matter by their order only; decay would just shrink their margins."""
    masks = [layer.mask_logits for layer in lego_layers(module)]
    others = [p for p in module.parameters() if all(p is not mask for mask in masks)]
    decayed: dict[str, object] = {"params": others, "weight_decay": options.weight_decay}
    return [decayed, *([{"params": masks, "weight_decay": 0.0}] if masks else [])]


def _batches(
    data: ImageData, options: TrainingOptions, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    order = torch.randperm(len(data.train_labels), generator=generator)
    for start in range(0, len(order), options.batch_size):
        chosen = order[start : start + options.batch_size]
        images = shift(data.train_images[chosen], options.max_shift, generator)
        yield images, data.train_labels[chosen]


def _train_epoch(
    module: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    label_smoothing: float,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> float:
    module.train()
    losses = []
    for images, labels in batches:
        loss = F.cross_entropy(module(images), labels, label_smoothing=label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def shift(images: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Shift each image by up to ``most`` pixels either way, repeating its border."""
    if most == 0:
        return images
    padded = F.pad(images, [most] * 4, mode="replicate")
    height, width = images.shape[2:]
    tops, lefts = torch.randint(0, 2 * most + 1, (2, len(images)), generator=generator).tolist()
    crops = [
        image[:, top : top + height, left : left + width]
        for image, top, left in zip(padded, tops, lefts, strict=True)
    ]
    return torch.stack(crops)

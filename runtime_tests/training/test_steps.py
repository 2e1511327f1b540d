"""Each training step is what the options say: images, schedule, momentum, decay, smoothing."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from legoexport.models.lego_conv import LegoConv2d
from legoexport.training.augment import augment, draw
from legoexport.training.data.images import ImageData
from legoexport.training.loop import train
from legoexport.training.recipe import PRESETS

DIGITS = PRESETS["digits"]


def small_data(count: int) -> ImageData:
    """Random float64 images; each is one of three classes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(count, 1, 2, 2, dtype=torch.float64, generator=generator)
    labels = torch.arange(count) % 3
    return ImageData(images, labels, images, labels)


def one_cycle(step: int, steps: int, peak: float) -> float:
    """Half a cosine up over 30 % of the steps, from 1/25 of the peak; another down to 1/250,000."""
    turn, last = 0.3 * steps - 1, steps - 1
    if step <= turn:
        start, end, share = peak / 25, peak, step / turn
    else:
        start, end, share = peak, peak / 25e4, (step - turn) / (last - turn)
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_the_steps_are_those_of_the_options(momentum: float) -> None:
    """A linear classifier on whole batches, its steps restated in numpy."""
    data = small_data(6)
    options = replace(
        DIGITS,
        epochs=10,
        batch_size=6,
        learning_rate=0.3,
        momentum=momentum,
        weight_decay=0.02,
        label_smoothing=0.1,
        max_shift_pixels=0,
    )
    torch.manual_seed(0)
    linear = nn.Linear(4, 3, bias=False).double()
    weight = linear.weight.detach().numpy().copy()
    train(nn.Sequential(nn.Flatten(), linear), data, options)
    x = data.train_images.flatten(1).numpy()
    wanted = 0.9 * np.eye(3)[data.train_labels] + 0.1 / 3
    velocity = np.zeros_like(weight)
    for step in range(10):
        powers = np.exp(x @ weight.T)
        shares = powers / powers.sum(1, keepdims=True)
        gradient = (shares - wanted).T @ x / 6 + 0.02 * weight
        velocity = momentum * velocity + gradient
        weight -= one_cycle(step, 10, 0.3) * velocity
    # Ten steps of float64 sums over six images.
    np.testing.assert_allclose(linear.weight.detach(), weight, rtol=0, atol=1e-13)


class Recorder(nn.Module):
    """A linear classifier that keeps what it is trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3).double()
        self.batches: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.batches.append(x)
        y: Tensor = self.linear(x.flatten(1))
        return y


def recorded(data: ImageData, most: int) -> list[Tensor]:
    module = Recorder().eval()
    train(module, data, replace(DIGITS, epochs=2, batch_size=8, max_shift_pixels=most))
    return module.batches


def test_every_epoch_shows_every_image_once_in_an_order_of_its_own() -> None:
    data = small_data(20)
    batches = recorded(data, 0)
    assert [len(batch) for batch in batches] == [8, 8, 4] * 2
    epochs = [torch.cat(batches[:3]), torch.cat(batches[3:])]
    # Which image of the data each shown image is: one match a row.
    matches = [
        (epoch[:, None] == data.train_images).flatten(2).all(2).long().argmax(1) for epoch in epochs
    ]
    assert all(torch.equal(order.sort().values, torch.arange(20)) for order in matches)
    assert not torch.equal(matches[0], matches[1])
    assert not torch.equal(matches[0], torch.arange(20))


def test_images_are_shifted_when_told() -> None:
    data = small_data(20)
    still, moved = (torch.cat(recorded(data, most)) for most in (0, 1))
    known = data.train_images.flatten(1).tolist()
    assert all(image in known for image in still.flatten(1).tolist())
    # Eight of nine shifts move the image.
    assert sum(image not in known for image in moved.flatten(1).tolist()) > 20


def test_decay_leaves_the_mask_logits_alone() -> None:
    class Unheard(nn.Module):
        """Its Lego layer gets gradients, all zero: decay alone could move it."""

        def __init__(self) -> None:
            super().__init__()
            self.lego = LegoConv2d(2, 3, 1, o=2, m=2).double()

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = 0 * self.lego(x.repeat(1, 2, 1, 1)).mean((2, 3))
            return y

    module = Unheard()
    before = {name: p.detach().clone() for name, p in module.lego.named_parameters()}
    options = replace(DIGITS, epochs=3, weight_decay=0.1, balance_weight=0, warmup_epochs=None)
    train(module, small_data(6), options)
    assert torch.equal(module.lego.mask_logits, before["mask_logits"])
    assert module.lego.lego.abs().sum() < before["lego"].abs().sum()
    assert module.lego.coefficients.abs().sum() < before["coefficients"].abs().sum()


def shift(images: Tensor, most: int) -> Tensor:
    recipe = replace(DIGITS, max_shift_pixels=most)
    return augment(images, recipe, draw(recipe, len(images), torch.Generator().manual_seed(0)))


def test_shifts_move_whole_images_and_reach_every_offset() -> None:
    image = torch.zeros(1, 5, 5)
    image[0, 2, 2] = 1
    shifted = shift(image.repeat(200, 1, 1, 1), 1)
    positions = {tuple(each.nonzero()[0, 1:].tolist()) for each in shifted}
    assert positions == {(row, column) for row in (1, 2, 3) for column in (1, 2, 3)}
    assert torch.equal(shifted.sum((1, 2, 3)), torch.ones(200))
    assert torch.equal(shift(image[None], 0), image[None])

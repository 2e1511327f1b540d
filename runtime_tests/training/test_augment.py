"""Flips, pads and crops are numpy's, whatever the type; a share of a batch is a part of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from legoexport.training.augment import augment, crop, draw, flip, pad
from legoexport.training.batches import Batches
from legoexport.training.recipe import PRESETS
from runtime_tests.training.tiny import RECIPE, tiny_data

DTYPES = [torch.uint8, torch.float32, torch.float64]
NUMPY_MODES = {"constant": "constant", "replicate": "edge"}


def batch(dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (40, 3, 5, 7), generator=generator).to(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("padding", list(NUMPY_MODES))
@pytest.mark.parametrize("flips", [False, True])
def test_a_batch_is_what_numpy_makes_of_each_picture(
    dtype: torch.dtype, padding: str, flips: bool
) -> None:
    recipe = replace(PRESETS["paper"], padding=padding, flips=flips, max_shift_pixels=2)
    images = batch(dtype)
    changes = draw(recipe, len(images), torch.Generator().manual_seed(3))
    changed = augment(images, recipe, changes).numpy()
    assert changes.mirrored.any() == flips
    wanted = []
    for image, mirrored, top, left in zip(
        images.numpy(), changes.mirrored, changes.tops, changes.lefts, strict=True
    ):
        turned = np.fliplr(image.transpose(1, 2, 0)) if mirrored else image.transpose(1, 2, 0)
        padded = np.pad(turned, ((2, 2), (2, 2), (0, 0)), mode=NUMPY_MODES[padding])  # type: ignore[call-overload]
        wanted.append(padded[top : top + 5, left : left + 7].transpose(2, 0, 1))
    assert changed.dtype == images.numpy().dtype
    assert np.array_equal(changed, np.stack(wanted))


def test_draws_reach_every_shift_and_both_sides() -> None:
    changes = draw(PRESETS["paper"], 4000, torch.Generator().manual_seed(0))
    assert set(changes.tops.tolist()) == set(changes.lefts.tolist()) == set(range(9))
    # Half of 4000, to six standard deviations.
    assert abs(int(changes.mirrored.sum()) - 2000) < 6 * 32
    assert not torch.equal(changes.tops, changes.lefts)


def test_no_change_keeps_the_pictures() -> None:
    images = batch(torch.uint8)
    still = torch.zeros(len(images), dtype=torch.int64)
    assert torch.equal(flip(images, still.bool()), images)
    assert torch.equal(crop(pad(images, 2, "constant"), still + 2, still + 2, (5, 7)), images)


@pytest.mark.parametrize("ranks_count", [2, 3])
def test_ranks_see_together_what_one_process_sees(ranks_count: int) -> None:
    data = tiny_data()
    alone = Batches(data, RECIPE, seed=5)
    shares = [Batches(data, RECIPE, 5, rank, ranks_count) for rank in range(ranks_count)]
    for step in range(alone.steps_per_epoch):
        whole = alone.at(step, alone.draw(2))
        for rank, share in enumerate(shares):
            part = share.at(step, share.draw(2))
            assert torch.equal(part.images, whole.images[rank::ranks_count])
            assert torch.equal(part.labels, whole.labels[rank::ranks_count])
            assert part.whole_count == len(whole.labels)


def test_draws_follow_from_seed_and_position_alone() -> None:
    data = tiny_data()
    one, other = (Batches(data, RECIPE, seed) for seed in (0, 1))
    torch.manual_seed(1)
    first = one.at(2, one.draw(1)).images
    torch.manual_seed(2)
    one.at(1, one.draw(1))
    assert torch.equal(one.at(2, one.draw(1)).images, first)
    assert not torch.equal(one.at(3, one.draw(1)).images, first)
    assert not torch.equal(one.draw(1).order, one.draw(2).order)
    assert not torch.equal(one.draw(1).order, other.draw(1).order)

"""Training learns, is fixed by its seed, balances the masks and freezes them when told."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from legoexport.models.lego_conv import LegoConv2d, imbalance
from legoexport.training.data.digits import load
from legoexport.training.data.images import ImageData
from legoexport.training.evaluate import count_correct
from legoexport.training.loop import train
from legoexport.training.masks import lego_layers
from legoexport.training.recipe import PRESETS
from legoexport.training.results import EpochResult

OPTIONS = replace(PRESETS["digits"], epochs=4, batch_size=32, learning_rate=0.05, warmup_epochs=2)


class TinyNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.lego = LegoConv2d(16, 24, 3, o=2, m_ratio=0.5, stride=2, padding=1)
        self.classifier = nn.Linear(24 * 16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lego(self.norm(self.stem(x)).relu()).relu()
        scores: Tensor = self.classifier(x.flatten(1))
        return scores


def tiny_net() -> TinyNet:
    torch.manual_seed(0)
    return TinyNet()


@pytest.fixture(scope="module")
def few_digits() -> ImageData:
    data = load()
    return replace(data, train_images=data.train_images[:320], train_labels=data.train_labels[:320])


def test_it_learns(few_digits: ImageData) -> None:
    module = tiny_net()
    seen: list[EpochResult] = []
    results = train(module, few_digits, replace(OPTIONS, epochs=8), seen.append)
    assert seen == list(results)
    assert [each.epoch for each in results] == list(range(1, 9))
    assert results[-1].mean_loss < 0.6 * results[0].mean_loss
    assert results[-1].test_accuracy > 0.7  # four seeds give 0.83 to 0.87; chance is 0.1
    correct = count_correct(module, few_digits)
    assert results[-1].test_accuracy == correct / 360
    assert not module.training


def test_the_seed_fixes_it(few_digits: ImageData) -> None:
    runs = []
    for run, seed in enumerate((0, 0, 1)):
        module = tiny_net()
        torch.manual_seed(run)  # the global generator has no part in it
        results = train(module, few_digits, replace(OPTIONS, epochs=2), seed=seed)
        runs.append((results, module.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert all(torch.equal(runs[0][1][name], tensor) for name, tensor in runs[1][1].items())
    assert runs[0][0] != runs[2][0]


def test_batch_norms_learn_whatever_mode_the_network_was_in(few_digits: ImageData) -> None:
    module = tiny_net().eval()
    train(module, few_digits, replace(OPTIONS, epochs=2))
    assert module.norm.num_batches_tracked == 2 * 10


def test_masks_change_until_they_freeze(few_digits: ImageData) -> None:
    module = tiny_net()
    changed = [each.changed_choices_count for each in train(module, few_digits, OPTIONS)]
    assert min(changed[:2]) > 0
    assert changed[2:] == [0, 0]
    assert not module.lego.mask_logits.requires_grad


def test_masks_move_at_a_rate_of_their_own(few_digits: ImageData) -> None:
    # A single step, at the full rate: later ones depend on it.
    one_step = replace(OPTIONS, epochs=1, batch_size=320, schedule="cosine")
    moved = {}
    for ratio in (1.0, 0.25):
        module = tiny_net()
        before = {name: value.clone() for name, value in module.named_parameters()}
        train(module, few_digits, replace(one_step, mask_rate_ratio=ratio))
        moved[ratio] = {name: value - before[name] for name, value in module.named_parameters()}
    for name, whole in moved[1.0].items():
        ratio = 0.25 if name == "lego.mask_logits" else 1.0
        # A step is a difference of float32 numbers of about 0.01 (logits) to 1.
        torch.testing.assert_close(moved[0.25][name], ratio * whole, rtol=1e-3, atol=1e-7)
    assert moved[1.0]["lego.mask_logits"].abs().max() > 1e-4


def test_masks_need_not_freeze(few_digits: ImageData) -> None:
    module = tiny_net()
    results = train(module, few_digits, replace(OPTIONS, warmup_epochs=None))
    assert results[2].changed_choices_count > 0
    assert module.lego.mask_logits.requires_grad


def test_masks_frozen_from_the_start_stay(few_digits: ImageData) -> None:
    module = tiny_net()
    module.lego.freeze_masks()
    before = module.lego.mask_logits.clone()
    train(module, few_digits, replace(OPTIONS, epochs=1, warmup_epochs=0))
    assert torch.equal(module.lego.mask_logits, before)


def unevenness_after_training(data: ImageData, balance_weight: float) -> float:
    module = tiny_net()
    options = replace(OPTIONS, epochs=2, warmup_epochs=None, balance_weight=balance_weight)
    train(module, data, options)
    layer = module.lego
    return float(imbalance(layer.choices(), layer.m).abs().sum())


def test_balance_evens_the_use_of_the_bank(few_digits: ImageData) -> None:
    assert unevenness_after_training(few_digits, 3e-3) < 0.7 * unevenness_after_training(
        few_digits, 0.0
    )


def test_balance_ends_with_training(few_digits: ImageData) -> None:
    module = tiny_net()
    train(module, few_digits, replace(OPTIONS, epochs=1))
    assert not module.lego.mask_logits._backward_hooks


def test_dense_networks_train_too(few_digits: ImageData) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    assert not list(lego_layers(module))
    results = train(module, few_digits, replace(OPTIONS, epochs=3))
    assert results[-1].mean_loss < results[0].mean_loss
    assert {each.changed_choices_count for each in results} == {0}

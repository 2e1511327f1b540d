"""Each network computes what its paper draws, restated in one function from its weights alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from legoexport.models.dense_twin import expand_lego
from legoexport.models.registry import build, input_shape
from runtime_tests.networks import randomize

# The same float64 convolutions; only sums in the batch norms and the pooling differ in order.
FLOAT64_TOLERANCE = 1e-10
BATCH_NORM_EPS = 1e-5
LARGE = 64

State = Mapping[str, Tensor]


def conv(state: State, name: str, x: Tensor, **geometry: int) -> Tensor:
    return F.conv2d(x, state[f"{name}.weight"], state.get(f"{name}.bias"), **geometry)


def norm(state: State, name: str, x: Tensor) -> Tensor:
    keys = ("running_mean", "running_var", "weight", "bias")
    mean, variance, weight, bias = (state[f"{name}.{key}"][:, None, None] for key in keys)
    return (x - mean) / (variance + BATCH_NORM_EPS).sqrt() * weight + bias


def scores(state: State, name: str, x: Tensor) -> Tensor:
    return x.mean((2, 3)) @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def resnet50(state: State, x: Tensor) -> Tensor:
    if x.shape[-1] >= LARGE:
        x = norm(state, "bn1", conv(state, "conv1", x, stride=2, padding=3)).relu()
        x = F.max_pool2d(x, 3, stride=2, padding=1)
    else:
        x = norm(state, "bn1", conv(state, "conv1", x, padding=1)).relu()
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            stride = 2 if stage > 1 and block == 0 else 1
            y = norm(state, f"{name}.bn1", conv(state, f"{name}.conv1", x)).relu()
            y = conv(state, f"{name}.conv2", y, stride=stride, padding=1)
            y = norm(state, f"{name}.bn2", y).relu()
            y = norm(state, f"{name}.bn3", conv(state, f"{name}.conv3", y))
            if block == 0:
                x = conv(state, f"{name}.downsample.0", x, stride=stride)
                x = norm(state, f"{name}.downsample.1", x)
            x = (x + y).relu()
    return scores(state, "fc", x)


def resnet20(state: State, x: Tensor) -> Tensor:
    x = norm(state, "bn1", conv(state, "conv1", x, padding=1)).relu()
    for stage in (1, 2, 3):
        for block in range(3):
            name = f"layer{stage}.{block}"
            halves = stage > 1 and block == 0
            y = conv(state, f"{name}.conv1", x, stride=2 if halves else 1, padding=1)
            y = norm(state, f"{name}.bn1", y).relu()
            y = norm(state, f"{name}.bn2", conv(state, f"{name}.conv2", y, padding=1))
            if halves:
                x = conv(state, f"{name}.downsample.0", x, stride=2)
                x = norm(state, f"{name}.downsample.1", x)
            x = (x + y).relu()
    return scores(state, "fc", x)


def mobilenet(state: State, x: Tensor) -> Tensor:
    stem_stride = 2 if x.shape[-1] >= LARGE else 1
    x = conv(state, "features.0", x, stride=stem_stride, padding=1)
    x = norm(state, "features.1", x).relu()
    for block, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)):
        index, channels = 3 + 6 * block, x.shape[1]
        x = conv(state, f"features.{index}", x, stride=stride, padding=1, groups=channels)
        x = norm(state, f"features.{index + 1}", x).relu()
        x = norm(state, f"features.{index + 4}", conv(state, f"features.{index + 3}", x)).relu()
    return scores(state, "classifier", x)


def plain(blocks: tuple[int, ...], last_pool: bool) -> Callable[[State, Tensor], Tensor]:
    """Blocks of so many 3x3 convolutions, the map halved after each."""

    def forward(state: State, x: Tensor) -> Tensor:
        index = 0
        for block, depth in enumerate(blocks, start=1):
            for _ in range(depth):
                x = conv(state, f"features.{index}", x, padding=1)
                x = norm(state, f"features.{index + 1}", x).relu()
                index += 3
            if block < len(blocks) or last_pool:
                x = F.max_pool2d(x, 2)
                index += 1
        return scores(state, "classifier", x)

    return forward


CASES: dict[str, tuple[str, dict[str, object], Callable[[State, Tensor], Tensor]]] = {
    "vgg16": ("lego_vgg16", {"input_size": 32}, plain((2, 2, 3, 3, 3), last_pool=True)),
    "vgg16 published": (
        "lego_vgg16",
        {"input_size": 32, "form": "published"},
        plain((3, 3, 3, 3, 3), last_pool=True),
    ),
    "resnet20": ("lego_resnet20", {"input_size": 32}, resnet20),
    "resnet50": ("lego_resnet50", {"input_size": 32}, resnet50),
    "resnet50 large": ("lego_resnet50", {"input_size": LARGE}, resnet50),
    "mobilenet": ("lego_mobilenet", {"input_size": 32}, mobilenet),
    "mobilenet large": ("lego_mobilenet", {"input_size": LARGE}, mobilenet),
    "digits": ("lego_digits", {}, plain((3, 2), last_pool=False)),
}


@torch.no_grad()
def settle_statistics(module: nn.Module, x: Tensor) -> None:
    """Let batch norms see what they normalise, or deep networks lose the image on the way."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    module.train()(x)
    module.eval()


@pytest.mark.parametrize("case", CASES)
def test_the_network_is_the_one_drawn(case: str) -> None:
    arch, own, restated = CASES[case]
    hyperparameters = {"classes": 7, **own}
    torch.manual_seed(0)
    module = randomize(build(arch, **hyperparameters)).double()
    x = torch.randn(4, *input_shape(arch, hyperparameters), dtype=torch.float64)
    settle_statistics(module, x)
    with torch.no_grad():
        expected = restated(expand_lego(module).state_dict(), x)
        actual = module(x)
    scale = expected.abs().max().item()
    assert (expected[0] - expected[1]).abs().max() > 0.1 * scale, "the image reaches the scores"
    tolerance = FLOAT64_TOLERANCE * scale
    torch.testing.assert_close(actual, expected, rtol=0, atol=tolerance)

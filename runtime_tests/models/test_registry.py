"""The registry builds by name, and names what it has when a name or value is wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from legoexport.errors import UsageError
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.registry import (
    ARCHITECTURES,
    build,
    complete,
    find_architecture,
    input_shape,
)


def test_every_architecture_is_there_with_its_twin() -> None:
    assert set(ARCHITECTURES) == {
        *("lego_vgg16", "lego_resnet20", "lego_resnet50", "lego_mobilenet", "lego_digits"),
        *("vgg16", "resnet20", "resnet50", "mobilenet_v1", "digits"),
    }
    for name, architecture in ARCHITECTURES.items():
        assert architecture.name == name
        assert ARCHITECTURES[architecture.twin].twin == name
        assert ARCHITECTURES[architecture.twin].is_lego != architecture.is_lego


def test_hyperparameters_reach_the_layers() -> None:
    module = build("lego_digits", o=4, m_ratio=1, coefficients=False, classes=3)
    layers = [each for each in module.modules() if isinstance(each, LegoConv2d)]
    assert {(each.o, each.m / each.out_channels, each.coefficients) for each in layers} == {
        (4, 1.0, None)
    }
    assert module(torch.zeros(2, *input_shape("lego_digits", {}))).shape == (2, 3)


def test_defaults_are_completed() -> None:
    assert complete("lego_vgg16", {"o": 4}) == {
        "o": 4,
        "m_ratio": 0.5,
        "coefficients": True,
        "classes": 10,
        "input_size": 32,
        "form": "paper",
        "width": 1.0,
    }
    assert input_shape("vgg16", {"input_size": 64}) == (3, 64, 64)


@pytest.mark.parametrize(
    ("arch", "hyperparameters", "message"),
    [
        ("lego_vgg19", {}, "unknown architecture[^$]*lego_vgg19[^$]*lego_vgg16, vgg16"),
        ("lego_vgg16", {"ratio": 0.5}, "unknown hyper-parameter[^$]*ratio[^$]*m_ratio"),
        ("vgg16", {"o": 2}, "unknown hyper-parameter of vgg16"),
        ("lego_vgg16", {"o": 2.0}, "hyper-parameter o[^$]*2.0[^$]*int"),
        ("lego_vgg16", {"o": "2"}, "hyper-parameter o"),
        ("lego_vgg16", {"o": True}, "hyper-parameter o"),
        ("lego_vgg16", {"o": 3}, "o must divide the input channels[^$]*o=3"),
        ("lego_vgg16", {"m_ratio": 0.0}, "hyper-parameter m_ratio"),
        ("lego_vgg16", {"m_ratio": float("inf")}, "m_ratio is Lego filters per output channel"),
        ("lego_vgg16", {"coefficients": 1}, "hyper-parameter coefficients"),
        ("lego_vgg16", {"form": "cifar"}, "unknown form of VGG16[^$]*paper, published"),
        ("digits", {"width": 16.5}, "width multiplies channels[^$]*16.5[^$]*at most 16"),
        ("lego_vgg16", {"width": float("inf")}, "width multiplies channels"),
        ("vgg16", {"classes": 0}, "hyper-parameter classes"),
        ("vgg16", {"input_size": 31}, "input_size in pixels[^$]*31[^$]*32 or more"),
        ("digits", {"input_size": 1}, "input_size in pixels"),
    ],
)
def test_mistakes_are_named_with_what_is_legal(
    arch: str, hyperparameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build(arch, **hyperparameters)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_smallest_legal_image_passes(arch: str) -> None:
    size = ARCHITECTURES[arch].least_input_size
    with torch.device("meta"):
        module = build(arch, input_size=size).eval()
        scores = module(torch.zeros(1, find_architecture(arch).channels, size, size))
    assert scores.shape == (1, ARCHITECTURES[arch].defaults["classes"])


@pytest.mark.parametrize(
    ("width", "channels"),
    # Nearest multiples of 8: 22.4 and 44.8 and 89.6; 32, 64, 128; 44.8, 89.6, 179.2; never none.
    [
        (0.35, (24, 48, 88)),
        (0.5, (32, 64, 128)),
        (0.7, (48, 88, 176)),
        (1, (64, 128, 256)),
        (0.01, (8,) * 3),
    ],
)
@pytest.mark.parametrize("arch", ["digits", "lego_digits"])
def test_width_multiplies_the_channels(
    arch: str, width: float, channels: tuple[int, int, int]
) -> None:
    with torch.device("meta"):
        module = build(arch, width=width)
        scores = module(torch.zeros(2, 1, 8, 8))
    convolutions = [m for m in module.modules() if isinstance(m, torch.nn.Conv2d | LegoConv2d)]
    stem, middle, last = channels
    assert [each.out_channels for each in convolutions] == [stem, middle, middle, last, last]
    assert scores.shape == (2, 10)


def weights_count(arch: str, **hyperparameters: object) -> int:
    with torch.device("meta"):
        named = build(arch, **hyperparameters).named_parameters()
    return sum(value.numel() for name, value in named if "mask" not in name)


@pytest.mark.parametrize("arch", ["vgg16", "lego_vgg16", "resnet50"])
def test_a_thin_network_has_the_square_of_the_weights(arch: str) -> None:
    thin, full = (weights_count(arch, classes=10, width=width) for width in (0.5, 1.0))
    # A quarter, but for the first layer, the norms and the classifier, which shrink by half.
    assert thin / full == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize(("width", "millions"), [(0.75, 2.6), (0.5, 1.3), (0.25, 0.5)])
def test_thin_mobilenets_have_the_published_weights(width: float, millions: float) -> None:
    """Howard et al. 2017, table 6."""
    assert round(weights_count("mobilenet_v1", width=width) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("arch", "stem", "stages"),
    [("resnet20", 8, (8, 8, 24)), ("resnet50", 24, (96, 192, 352, 704))],
)
def test_a_thin_resnet_rounds_every_stage(arch: str, stem: int, stages: tuple[int, ...]) -> None:
    """16, 32, 64 by 0.35 are 5.6, 11.2, 22.4; 64 to 512 are 22.4, 44.8, 89.6, 179.2, times 4."""
    with torch.device("meta"):
        module = build(arch, width=0.35).eval()
        assert module(torch.zeros(2, 3, 32, 32)).shape[0] == 2
    kept = dict(module.named_modules())
    outputs = [kept[f"layer{n}.0.conv1"].in_channels for n in range(1, len(stages) + 1)]
    assert outputs == [stem, *stages[:-1]]
    assert kept["fc"].in_features == stages[-1]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_network_can_be_thinner(arch: str) -> None:
    cut: dict[str, object] = {"o": 8, "m_ratio": 0.125} if ARCHITECTURES[arch].is_lego else {}
    with torch.device("meta"):
        module = build(arch, classes=3, width=0.35, **cut).eval()
        scores = module(torch.zeros(2, *input_shape(arch, {})))
    assert scores.shape == (2, 3)
    assert weights_count(arch, width=0.35, **cut) < weights_count(arch, **cut) / 2

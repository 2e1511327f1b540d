"""The networks: parameters by the paper, names by the published code and torchvision, any size."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from legoexport.models.dense_twin import expand_lego
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.registry import ARCHITECTURES, build, input_shape

MILLION = 1e6
TABLES = ("coefficients", "mask_logits")
# Dense shortcuts in a LegoNet.
SHORTCUTS_COUNT = {"lego_resnet20": 2}


def on_meta(arch: str, **hyperparameters: object) -> nn.Module:
    """Shapes without numbers."""
    with torch.device("meta"):
        return build(arch, **hyperparameters)


def count_weights(module: nn.Module) -> int:
    named = module.named_parameters()
    return sum(p.numel() for name, p in named if not name.endswith(TABLES))


def count_table_entries(module: nn.Module) -> int:
    """One coefficient and one index for every (fragment, output)."""
    layers = (layer for layer in module.modules() if isinstance(layer, LegoConv2d))
    return sum(2 * layer.o * layer.out_channels for layer in layers)


@pytest.mark.parametrize(
    ("o", "m_ratio", "millions"), [(2, 0.5, 3.7), (2, 0.25, 1.9), (4, 0.5, 1.9), (4, 0.25, 0.9)]
)
def test_vgg16_has_the_parameters_of_the_paper(o: int, m_ratio: float, millions: float) -> None:
    module = on_meta("lego_vgg16", o=o, m_ratio=m_ratio)
    assert round(count_weights(module) / MILLION, 1) == millions


@pytest.mark.parametrize(
    ("arch", "m_ratio", "weights_millions", "millions"),
    [
        ("lego_resnet50", 0.5, 7.97, 8.1),
        ("lego_mobilenet", 0.9, 2.50, 2.5),
        ("lego_mobilenet", 1.5, 3.45, 3.5),
    ],
)
def test_imagenet_networks_have_the_parameters_of_the_paper(
    arch: str, m_ratio: float, weights_millions: float, millions: float
) -> None:
    module = on_meta(arch, o=2, m_ratio=m_ratio)
    weights = count_weights(module)
    assert round(weights / MILLION, 2) == weights_millions
    assert round((weights + count_table_entries(module)) / MILLION, 1) == millions


@pytest.mark.parametrize(
    ("arch", "weights"),
    [
        ("vgg16", 14_724_106),
        ("resnet20", 272_474),
        ("resnet50", 25_557_032),
        ("mobilenet_v1", 4_231_976),
    ],
)
def test_dense_networks_are_those_everybody_knows(arch: str, weights: int) -> None:
    module = on_meta(arch)
    assert count_weights(module) == weights
    assert not any(isinstance(layer, LegoConv2d) for layer in module.modules())


def test_resnet20_has_the_published_weights_and_two_shortcuts() -> None:
    """Option A, which has no weights in its shortcuts, has 0.27 M (He et al. 2016, table 6)."""
    module = on_meta("resnet20")
    shortcuts = sum(count_weights(module.get_submodule(f"layer{n}.0.downsample")) for n in (2, 3))
    assert shortcuts == (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)
    assert count_weights(module) - shortcuts == 269_722


@pytest.mark.parametrize("m_ratio", [0.125, 0.25, 0.5])
@pytest.mark.parametrize("o", [2, 4, 8])
def test_the_smallest_layers_of_resnet20_can_be_cut(o: int, m_ratio: float) -> None:
    module = on_meta("lego_resnet20", o=o, m_ratio=m_ratio)
    layers = [each for each in module.modules() if isinstance(each, LegoConv2d)]
    assert all((each.o, each.m) == (o, each.out_channels * m_ratio) for each in layers)


@pytest.mark.parametrize("arch", [name for name, each in ARCHITECTURES.items() if each.is_lego])
def test_the_dense_twin_has_every_layer_but_the_banks(arch: str) -> None:
    lego = on_meta(arch)
    expanded = {name: p.shape for name, p in expand_lego(lego).state_dict().items()}
    twin = {name: p.shape for name, p in on_meta(ARCHITECTURES[arch].twin).state_dict().items()}
    assert expanded == twin


@pytest.mark.parametrize("arch", [name for name, each in ARCHITECTURES.items() if each.is_lego])
def test_first_convolution_and_classifier_stay_dense(arch: str) -> None:
    lego = on_meta(arch)
    convs = [each for each in lego.modules() if isinstance(each, nn.Conv2d | LegoConv2d)]
    assert isinstance(convs[0], nn.Conv2d)
    dense = [each for each in convs[1:] if isinstance(each, nn.Conv2d)]
    shortcuts = SHORTCUTS_COUNT.get(arch, 0)
    depthwise = [each for each in dense if each.groups == each.in_channels]
    assert len(dense) == len(depthwise) + shortcuts
    assert (
        len(convs) - 1 - len(dense)
        == {
            "lego_vgg16": 12,
            "lego_resnet20": 18,
            "lego_resnet50": 52,
            "lego_mobilenet": 13,
            "lego_digits": 4,
        }[arch]
    )


def test_the_published_form_has_the_published_layers() -> None:
    module = on_meta("lego_vgg16", form="published", o=4, m_ratio=0.25)
    features = module.get_submodule("features")
    assert isinstance(features, nn.Sequential)
    kinds = {index: type(layer) for index, layer in enumerate(features)}
    legos = [index for index, kind in kinds.items() if kind is LegoConv2d]
    assert legos == [3, 6, 10, 13, 16, 20, 23, 26, 30, 33, 36, 40, 43, 46]
    assert [i for i, kind in kinds.items() if kind is nn.MaxPool2d] == [9, 19, 29, 39, 49]
    assert len(features) == 51
    names = {name for name, _ in module.named_parameters()}
    assert {"features.0.weight", "features.0.bias", "features.3.lego", "classifier.bias"} <= names
    assert not any(f"features.{index}.bias" in names for index in legos)


def test_resnet50_has_the_names_of_torchvision() -> None:
    names = set(on_meta("resnet50").state_dict())
    assert {"conv1.weight", "bn1.running_mean", "fc.bias", "layer4.2.bn3.weight"} <= names
    downsamples = [
        f"layer{number}.0.downsample.{part}.weight" for number in range(1, 5) for part in (0, 1)
    ]
    assert set(downsamples) <= names
    assert len(names) == 320


@pytest.mark.parametrize("input_size", [32, 224])
@pytest.mark.parametrize("arch", [name for name in ARCHITECTURES if not name.endswith("digits")])
def test_every_network_maps_both_sizes_to_scores(arch: str, input_size: int) -> None:
    settings = {"classes": 7, "input_size": input_size}
    module = on_meta(arch, **settings).eval()
    shape = input_shape(arch, settings)
    assert shape == (3, input_size, input_size)
    assert module(torch.zeros(2, *shape, device="meta")).shape == (2, 7)


@pytest.mark.parametrize(
    ("arch", "stem_size"),
    [("lego_resnet50", 32), ("lego_resnet20", 32), ("lego_mobilenet", 32), ("lego_vgg16", 32)],
)
def test_small_images_keep_their_size_in_the_stem(arch: str, stem_size: int) -> None:
    module = on_meta(arch, input_size=32).eval()
    first = next(each for each in module.modules() if isinstance(each, LegoConv2d))
    seen = []
    first.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].shape[-1]))
    module(torch.zeros(1, 3, 32, 32, device="meta"))
    assert seen == [stem_size]


def test_a_lego_network_computes_what_its_expansion_computes() -> None:
    torch.manual_seed(0)
    module = build("lego_resnet50", classes=5, input_size=32).double().eval()
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        # The same convolutions with the same weights.
        torch.testing.assert_close(expand_lego(module)(x), module(x), rtol=1e-12, atol=0)


@pytest.mark.parametrize("arch", ["lego_vgg16", "lego_mobilenet"])
def test_signals_and_gradients_survive_a_fresh_network(arch: str) -> None:
    """Good initial weights: no layer starts dead, whatever batch norm would hide later."""
    torch.manual_seed(0)
    module = build(arch, classes=5, input_size=32).train()
    module(torch.randn(8, 3, 32, 32)).square().sum().backward()
    # Biases before a batch norm cannot matter; tensors of weights do.
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.ndim == 1 or parameter.grad.abs().max() > 0, name

"""legofy on networks that are not ours: what it replaces, what it leaves and why."""

from __future__ import annotations

import copy
from typing import Literal

import pytest
import torch
from torch import nn

from legoexport.deliver.convert import convert_module
from legoexport.errors import UsageError
from legoexport.models.dense_twin import expand_lego
from legoexport.models.lego_conv import LegoConv2d
from legoexport.models.legofy import legofy, why_impossible
from runtime_tests.models.strangers import DenseBlockNet, Inception, UNet

STRANGERS = [DenseBlockNet, Inception, UNet]

# torch on an even kernel with 'same' padding, which stays as it is
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")


@pytest.mark.parametrize("stranger", STRANGERS)
def test_shapes_stay_and_the_original_is_untouched(stranger: type[nn.Module]) -> None:
    original = stranger()
    before = copy.deepcopy(original.state_dict())
    result = legofy(original, o=2, m_ratio=0.5)
    after = original.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(isinstance(each, LegoConv2d) for each in original.modules())
    x = torch.randn(2, 3, 18, 14)
    assert result.module(x).shape == original(x).shape


@pytest.mark.parametrize("stranger", STRANGERS)
def test_every_convolution_is_accounted_for(stranger: type[nn.Module]) -> None:
    original = stranger()
    result = legofy(original, o=2, m=3)
    convs = {name for name, each in original.named_modules() if isinstance(each, nn.Conv2d)}
    assert set(result.replaced) | set(result.kept) == convs
    assert not set(result.replaced) & set(result.kept)
    for name in result.replaced:
        layer = result.module.get_submodule(name)
        assert isinstance(layer, LegoConv2d)
        assert (layer.o, layer.m) == (2, 3)


@pytest.mark.parametrize("stranger", STRANGERS)
def test_the_result_learns(stranger: type[nn.Module]) -> None:
    torch.manual_seed(0)
    module = legofy(stranger(), o=2, m_ratio=0.5).module
    x = torch.randn(4, 3, 18, 14)
    target = torch.randn_like(module(x))
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        loss = (module(x) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
    for layer in module.modules():
        if isinstance(layer, LegoConv2d):
            for parameter in (layer.lego, layer.coefficients, layer.mask_logits):
                assert parameter.grad.any()


@pytest.mark.parametrize("stranger", STRANGERS)
def test_expanding_gives_the_original_layers_and_the_same_function(
    stranger: type[nn.Module],
) -> None:
    module = legofy(stranger(), o=2, m_ratio=0.5).module.double().eval()
    twin = expand_lego(module)
    x = torch.randn(1, 3, 12, 10, dtype=torch.float64)
    with torch.no_grad():
        # The same convolutions with the same weights.
        torch.testing.assert_close(twin(x), module(x), rtol=1e-12, atol=1e-14)
    shapes = {name: p.shape for name, p in stranger().state_dict().items()}
    assert {name: p.shape for name, p in twin.state_dict().items()} == shapes


def test_what_stays_dense_in_a_dense_block() -> None:
    result = legofy(DenseBlockNet(), o=2, m_ratio=0.5)
    assert result.replaced == ("layers.0.2", "layers.2.2")
    assert dict(result.kept) == {
        "stem": "it is the first convolution",
        "layers.1.2": "o=2 does not divide its 15 input channels",
        "transition": "o=2 does not divide its 29 input channels",
    }


def test_what_stays_dense_in_an_inception() -> None:
    result = legofy(Inception(), o=4, m=5)
    assert result.replaced == ("point", "wide", "dilated", "reduce")
    assert dict(result.kept) == {
        "stem": "it is the first convolution",
        "even": "its 'same' padding is not symmetric",
        "grouped": "it has 4 groups",
        "reflecting": "its padding mode is reflect",
    }
    geometry = {
        name: (layer.stride, layer.padding, layer.dilation)
        for name, layer in result.module.named_modules()
        if isinstance(layer, LegoConv2d)
    }
    assert geometry == {
        "point": ((1, 1), (0, 0), (1, 1)),
        "wide": ((1, 1), (0, 3), (1, 1)),
        "dilated": ((1, 1), (2, 3), (2, 3)),
        "reduce": ((2, 2), (0, 0), (2, 2)),
    }


def test_a_convolution_used_twice_becomes_one_layer_used_twice() -> None:
    result = legofy(UNet(), o=2, m=4)
    module = result.module
    assert isinstance(module.get_submodule("bottom"), LegoConv2d)
    assert module.get_submodule("again") is module.get_submodule("bottom")
    twin = expand_lego(module)
    assert twin.get_submodule("again") is twin.get_submodule("bottom")


def test_where_chooses() -> None:
    result = legofy(Inception(), o=4, m=5, where=lambda name, conv: conv.kernel_size == (1, 7))
    assert result.replaced == ("wide",)
    assert result.kept["point"] == "where did not choose it"
    first = legofy(UNet(), o=3, m=2, where=lambda name, _: name == "down")
    assert first.replaced == ("down",), "where may choose the first convolution"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("grouped", "it has 4 groups"),
        ("reflecting", "padding mode is reflect"),
        ("even", "not symmetric"),
        ("stem", "o=2 does not divide its 3 input channels"),
    ],
)
def test_where_cannot_choose_the_impossible(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=rf"{name} cannot be a Lego layer[^$]*{reason}"):
        legofy(Inception(), o=2, m=2, where=lambda each, _: each == name)


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
def test_only_zeros_pad_a_lego_layer(mode: Literal["circular", "reflect", "replicate"]) -> None:
    conv = nn.Conv2d(8, 8, 3, padding=1, padding_mode=mode)
    assert why_impossible(conv, 2) == f"its padding mode is {mode}"


@pytest.mark.parametrize(
    ("kernel", "dilation", "is_possible"),
    [((3, 3), 1, True), ((2, 2), 1, False), ((2, 3), 1, False), ((3, 2), 1, False), (2, 2, True)],
)
def test_same_padding_must_be_symmetric_both_ways(
    kernel: int | tuple[int, int], dilation: int, is_possible: bool
) -> None:
    conv = nn.Conv2d(8, 8, kernel, dilation=dilation, padding="same")
    assert (why_impossible(conv, 2) is None) == is_possible
    if is_possible:
        layer = legofy(nn.Sequential(conv), o=2, m=2, where=lambda *_: True).module
        assert layer(torch.zeros(1, 8, 6, 5)).shape == (1, 8, 6, 5)


def test_coefficients_can_be_left_out() -> None:
    module = legofy(UNet(), o=2, m=4, coefficients=False).module
    layers = [each for each in module.modules() if isinstance(each, LegoConv2d)]
    assert layers
    assert all(each.coefficients is None for each in layers)


def test_expanding_leaves_the_network_alone_and_keeps_the_mode() -> None:
    module = legofy(UNet(), o=2, m=4).module
    for is_training in (True, False):
        twin = expand_lego(module.train(is_training))
        assert isinstance(module.get_submodule("bottom"), LegoConv2d)
        assert all(each.training == is_training for each in twin.modules())


def test_a_class_of_its_own_is_left_alone() -> None:
    class Standardized(nn.Conv2d):
        """A convolution that computes something else."""

    net = nn.Sequential(nn.Conv2d(3, 8, 3), Standardized(8, 8, 3), nn.Conv2d(8, 8, 3))
    result = legofy(net, o=2, m=4)
    assert result.replaced == ("2",)
    assert result.kept["1"] == "its class Standardized may compute something else"


def test_dtype_mode_and_bias_are_kept() -> None:
    net = nn.Sequential(nn.Conv2d(2, 4, 1), nn.Conv2d(4, 4, 1, bias=False)).double().eval()
    layer = legofy(net, o=2, m=2).module.get_submodule("1")
    assert isinstance(layer, LegoConv2d)
    assert layer.lego.dtype == torch.float64
    assert not layer.training
    assert layer.bias is None


def test_a_bare_convolution_can_be_chosen() -> None:
    conv = nn.Conv2d(4, 6, 3)
    result = legofy(conv, o=2, m=2, where=lambda *_: True)
    assert isinstance(result.module, LegoConv2d)
    assert isinstance(expand_lego(result.module), nn.Conv2d)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Linear(3, 3), "no convolution became a Lego layer[^$]*no convolutions"),
        (nn.Conv2d(4, 6, 3), "no convolution became a Lego layer[^$]*first convolution"),
    ],
)
def test_nothing_to_replace_is_an_error(net: nn.Module, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        legofy(net, o=2, m=2)


@pytest.mark.parametrize(
    ("o", "m", "m_ratio"), [(0, 2, None), (2, None, None), (2, 2, 1.0), (2, None, -1.0)]
)
def test_impossible_arguments_are_named_even_if_nothing_uses_them(
    o: int, m: int | None, m_ratio: float | None
) -> None:
    with pytest.raises(UsageError, match=r"\bo counts|\bm_ratio\b"):
        legofy(nn.Linear(3, 3), o=o, m=m, m_ratio=m_ratio)


@pytest.mark.parametrize("stranger", [DenseBlockNet, Inception])
def test_a_stranger_with_lego_layers_becomes_a_proven_file(stranger: type[nn.Module]) -> None:
    torch.manual_seed(0)
    module = legofy(stranger(), o=2, m_ratio=0.5).module
    conversion = convert_module(module, torch.zeros(1, 3, 18, 14))
    assert conversion.agreement.passed
    lego_names = {name for name, each in module.named_modules() if isinstance(each, LegoConv2d)}
    assert set(conversion.network.layers) == lego_names

"""Freezing: masks become tables, the audit tells what it saw, the function stays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from legoexport.compile.freeze import AGREEMENT_TOLERANCE, freeze
from legoexport.errors import CheckFailed, CheckpointError, UsageError
from legoexport.models.frozen_conv import FrozenLegoConv2d
from legoexport.models.lego_conv import LegoConv2d
from runtime_tests.networks import small_net

EXAMPLE = torch.zeros(2, 3, 12, 10)


@pytest.mark.parametrize("coefficients", [True, False])
@pytest.mark.parametrize("train", [True, False])
def test_the_frozen_network_is_in_eval_mode_and_equal(*, coefficients: bool, train: bool) -> None:
    module = small_net(coefficients=coefficients).train(train)
    network = freeze(module, EXAMPLE)
    assert not any(layer.training for layer in network.module.modules())
    assert module.training is train, "the caller's module stays as it was"
    assert network.agreement <= AGREEMENT_TOLERANCE
    assert list(network.layers) == ["first", "second", "third"]
    assert not any(isinstance(layer, LegoConv2d) for layer in network.module.modules())


def test_tables_are_the_argmax_and_its_coefficients() -> None:
    module = small_net()
    layer = module.get_submodule("second")
    assert isinstance(layer, LegoConv2d)
    frozen = freeze(module, EXAMPLE).layers["second"]
    np.testing.assert_array_equal(frozen.index, layer.mask_logits.detach().numpy().argmax(axis=2))
    assert layer.coefficients is not None
    table = layer.coefficients.detach().numpy()
    picked = np.take_along_axis(table, frozen.index[:, :, None], axis=2)[:, :, 0]
    np.testing.assert_array_equal(frozen.coefficient, picked)
    assert (frozen.stride, frozen.padding, frozen.dilation) == ((2, 2), (1, 1), (1, 1))


def test_the_audit_counts_ties_thin_margins_and_unused_filters() -> None:
    layer = LegoConv2d(4, 6, 1, o=2, m=5)
    with torch.no_grad():
        layer.mask_logits[:] = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
        layer.mask_logits[0, 0, 3] = 4.0
        layer.mask_logits[0, 1, 3] = 4.0 - 1e-5
    (audit,) = freeze(layer, torch.zeros(1, 4, 3, 3)).audits
    assert audit.entries_count == 12
    assert audit.ties_count == 1
    assert audit.thin_margins_count == 2, "a tie is the thinnest margin"
    assert audit.least_margin == 0.0
    assert audit.unused_filters_count >= 3
    assert 0.0 <= audit.evenness_ratio < 0.5


def test_even_use_scores_one() -> None:
    layer = LegoConv2d(4, 6, 1, o=2, m=3)
    with torch.no_grad():
        layer.mask_logits.zero_()
        for n in range(6):
            layer.mask_logits[:, n, n % 3] = 1.0
    (audit,) = freeze(layer, torch.zeros(1, 4, 3, 3)).audits
    assert audit.unused_filters_count == 0
    assert audit.evenness_ratio == pytest.approx(1.0)


@pytest.mark.parametrize("parameter", ["lego", "coefficients", "mask_logits"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_broken_weights_name_their_layer(parameter: str, value: float) -> None:
    module = small_net()
    with torch.no_grad():
        module.get_parameter(f"second.{parameter}").view(-1)[0] = value
    with pytest.raises(CheckpointError, match=f"layer second: {parameter}"):
        freeze(module, EXAMPLE)


@pytest.mark.parametrize("name", ["classifier.weight", "stem_norm.running_mean"])
def test_broken_weights_outside_of_lego_layers_are_named(name: str) -> None:
    module = small_net()
    module.state_dict()[name].view(-1)[0] = float("nan")
    with pytest.raises(CheckFailed, match=f"(?s)NaN or infinite outputs.*{name}"):
        freeze(module, EXAMPLE)


def test_a_layer_used_twice_is_frozen_once() -> None:
    shared = LegoConv2d(8, 8, 3, o=2, m=4, padding=1)
    network = freeze(nn.Sequential(shared, nn.ReLU(), shared), torch.zeros(1, 8, 6, 6))
    assert list(network.layers) == ["0"]
    first, _, last = network.module.children(), None, network.module[2]  # type: ignore[index]
    assert next(iter(first)) is last


def test_a_wrong_table_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def scrambled(self: FrozenLegoConv2d, frozen: object) -> None:
        build(self, frozen)  # type: ignore[arg-type]
        self.index[0, 0] = (self.index[0, 0] + 1) % self.lego.shape[0]

    build = FrozenLegoConv2d.__init__
    monkeypatch.setattr(FrozenLegoConv2d, "__init__", scrambled)
    with pytest.raises(CheckFailed, match="training form"):
        freeze(small_net(), EXAMPLE)


class Doubled(LegoConv2d):
    """A Lego layer that computes more."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def hooked(layer: LegoConv2d) -> nn.Module:
    layer.register_forward_hook(lambda _, __, y: 2 * y)
    return layer


def pre_hooked(layer: LegoConv2d) -> nn.Module:
    layer.register_forward_pre_hook(lambda _, x: (x[0] + 1,))
    return layer


def subclassed(layer: LegoConv2d) -> nn.Module:
    layer.__class__ = Doubled
    return layer


@pytest.mark.parametrize(
    ("add", "received"),
    [
        (hooked, "a forward hook"),
        (pre_hooked, "a forward pre-hook"),
        (subclassed, "a forward of its own"),
    ],
)
def test_a_layer_with_additions_is_named(
    add: Callable[[LegoConv2d], nn.Module], received: str
) -> None:
    module = small_net()
    layer = module.get_submodule("second")
    assert isinstance(layer, LegoConv2d)
    add(layer)
    with pytest.raises(UsageError, match=f"layer second computes more.*\n  received: {received}\n"):
        freeze(module, EXAMPLE)


def test_a_hook_that_only_looks_on_does_no_harm() -> None:
    module = small_net()
    module.get_submodule("second").register_forward_hook(lambda *_: None)
    assert freeze(module, EXAMPLE).agreement <= AGREEMENT_TOLERANCE

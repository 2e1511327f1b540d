"""LegoConv2d computes what the paper defines, on any geometry, learning or settled."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.errors import UsageError
from legoexport.models.lego_conv import LegoConv2d
from runtime_tests.models.layers import TrainingCase, training_cases
from runtime_tests.reference import rounding_scale, split_transform_merge

# The longest float64 sum here has 4 * 5 * 9 + 1 terms; each rounding is at most 1.1e-16 of the sum
# of absolute values.
FLOAT64_TOLERANCE = 1e-13


@settings(max_examples=300, deadline=None)
@given(case=training_cases(), masks_settled=st.booleans())
def test_equals_the_definition(case: TrainingCase, masks_settled: bool) -> None:
    if masks_settled:
        case.layer.freeze_masks()
    actual = case.layer(torch.tensor(case.x)).detach().numpy()
    expected = split_transform_merge(case.x, case.frozen)
    assert actual.shape == expected.shape
    error = np.abs(actual - expected).max()
    assert error <= FLOAT64_TOLERANCE * max(1, rounding_scale(case.x, case.frozen))


@settings(max_examples=200, deadline=None)
@given(case=training_cases())
def test_learning_and_settled_masks_give_the_same_weight_bit_for_bit(case: TrainingCase) -> None:
    layer = case.layer.float()
    learning = layer.weight()
    with torch.no_grad():
        settled = layer.weight()
    # A sum of zeros and one product rounds nowhere.
    assert torch.equal(learning, settled)
    expected = case.frozen.dense_weight()
    np.testing.assert_allclose(settled.detach(), expected, rtol=2**-23, atol=0)


def test_masks_are_exactly_one_hot() -> None:
    layer = LegoConv2d(8, 6, 3, o=2, m=5)
    mask = layer.mask()
    assert set(mask.flatten().tolist()) == {0.0, 1.0}
    assert torch.equal(mask.sum(2), torch.ones(2, 6))
    assert torch.equal(mask.argmax(2), layer.choices())
    assert layer.choices().dtype == torch.int64


@pytest.mark.parametrize(("m_ratio", "m"), [(0.5, 5), (0.25, 2), (1.5, 15), (0.01, 1)])
def test_a_ratio_counts_down_to_whole_filters_and_to_one_at_least(m_ratio: float, m: int) -> None:
    assert LegoConv2d(4, 10, 1, o=2, m_ratio=m_ratio).m == m


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"o": 4, "m": 2}, r"o must divide the input channels[^$]*1, 2, 3, 6"),
        ({"o": 0, "m": 2}, "o counts input fragments"),
        ({"o": True, "m": 2}, "o counts input fragments"),
        ({"o": 2}, "exactly one of m and m_ratio"),
        ({"o": 2, "m": 3, "m_ratio": 0.5}, "exactly one of m and m_ratio"),
        ({"o": 2, "m": 0}, "m counts Lego filters"),
        ({"o": 2, "m": 0.5}, "m counts Lego filters"),
        ({"o": 2, "m_ratio": -1.0}, "m_ratio is Lego filters per output channel"),
        ({"o": 2, "m_ratio": math.nan}, "m_ratio is Lego filters per output channel"),
        ({"o": 2, "m_ratio": math.inf}, "m_ratio is Lego filters per output channel"),
    ],
)
def test_what_no_layer_can_be(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        LegoConv2d(6, 8, 3, **arguments)


def test_parameters_have_the_published_shapes() -> None:
    layer = LegoConv2d(12, 8, (3, 5), o=4, m=6, coefficients=True)
    shapes = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert shapes == {
        "lego": (6, 3, 3, 5),
        "coefficients": (4, 8, 6),
        "mask_logits": (4, 8, 6),
        "bias": (8,),
    }
    bare = LegoConv2d(12, 8, 3, o=4, m=6, bias=False, coefficients=False)
    assert [name for name, _ in bare.named_parameters()] == ["lego", "mask_logits"]
    assert bare.coefficients is None
    assert bare.bias is None


@pytest.mark.parametrize("coefficients", [True, False])
@pytest.mark.parametrize("m_ratio", [0.25, 1.0])
def test_fresh_weights_have_the_variance_of_he(m_ratio: float, coefficients: bool) -> None:
    torch.manual_seed(0)
    layer = LegoConv2d(128, 256, 3, o=2, m_ratio=m_ratio, coefficients=coefficients)
    weight = layer.weight()
    # At least 64 * 64 * 9 independent values: their deviation is known to under 1 %.
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (128 * 9)), rel=0.03)
    assert abs(weight.mean().item()) < 0.01 * weight.std().item() * 3


def test_a_fresh_bias_is_zero() -> None:
    assert not LegoConv2d(4, 6, 3, o=2, m=3).bias.any()


def test_fresh_masks_use_most_of_the_bank() -> None:
    torch.manual_seed(0)
    layer = LegoConv2d(64, 64, 3, o=4, m=32)
    # 256 draws from 32 filters miss one with probability 32 * (31/32)**256 < 1 %.
    assert len(layer.choices().unique()) >= 31


def test_copies_and_stored_states_are_the_same_layer() -> None:
    layer = LegoConv2d(8, 6, 3, o=2, m=5, padding=1)
    x = torch.randn(2, 8, 5, 4)
    other = LegoConv2d(8, 6, 3, o=2, m=5, padding=1)
    assert not torch.equal(other(x), layer(x))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
    copied = copy.deepcopy(layer)
    assert torch.equal(copied(x), layer(x))
    # Float32 against float64: 8 * 9 products, each rounded to 2**-24 of itself.
    torch.testing.assert_close(copied.double()(x.double()), layer(x).double(), rtol=0, atol=1e-5)
    assert copied.mask().dtype == torch.float64


def test_freezing_ends_the_gradient_of_the_masks_only() -> None:
    layer = LegoConv2d(8, 6, 3, o=2, m=5)
    layer.freeze_masks()
    layer(torch.randn(1, 8, 4, 4)).sum().backward()
    assert layer.mask_logits.grad is None
    assert all(p.grad is not None for name, p in layer.named_parameters() if name != "mask_logits")


def test_masks_learn_in_eval_mode_too() -> None:
    layer = LegoConv2d(8, 6, 3, o=2, m=5).eval()
    layer(torch.randn(1, 8, 4, 4)).sum().backward()
    assert layer.mask_logits.grad.any()


def test_the_print_names_every_argument() -> None:
    text = repr(LegoConv2d(8, 6, 3, o=2, m=5, stride=2, padding=1, bias=False))
    for part in ("o=2", "m=5", "stride=(2, 2)", "padding=(1, 1)", "bias=False"):
        assert part in text

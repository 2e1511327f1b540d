"""The paper's parameter counts come out of the inventory (LegoNet, Tables 1 to 3)."""

from __future__ import annotations

import pytest
import torch

from legoexport.inspect.inventory import Inventory
from legoexport.inspect.inventory_torch import summarize_module
from legoexport.models.registry import build, input_shape

MILLION = 1e6


def inventory(arch: str, o: int, m_ratio: float) -> Inventory:
    with torch.device("meta"):
        module = build(arch, o=o, m_ratio=m_ratio)
    return summarize_module(module, input_shape(arch, {}), masks_settled=False)


@pytest.mark.parametrize(
    ("o", "m_ratio", "millions"), [(2, 0.5, 3.7), (2, 0.25, 1.9), (4, 0.5, 1.9), (4, 0.25, 0.9)]
)
def test_vgg16_counts_weights_alone(o: int, m_ratio: float, millions: float) -> None:
    totals = inventory("lego_vgg16", o, m_ratio).totals
    assert round(totals.weights / MILLION, 1) == millions


@pytest.mark.parametrize(
    ("arch", "m_ratio", "millions"),
    [("lego_resnet50", 0.5, 8.1), ("lego_mobilenet", 0.9, 2.5), ("lego_mobilenet", 1.5, 3.5)],
)
def test_imagenet_networks_count_the_tables_too(arch: str, m_ratio: float, millions: float) -> None:
    totals = inventory(arch, 2, m_ratio).totals
    assert round(totals.weights_coefficients_indices / MILLION, 1) == millions


@pytest.mark.parametrize(
    ("arch", "weights", "gigamacs"),
    [
        ("lego_vgg16", 14_724_106, 0.313),  # the stem has a bias, as in the published code
        ("lego_resnet50", 25_557_032, 4.09),
        ("lego_mobilenet", 4_231_976, 0.569),
    ],
)
def test_dense_twins_are_the_networks_everybody_knows(
    arch: str, weights: int, gigamacs: float
) -> None:
    twin = inventory(arch, 2, 0.5).dense_twin
    assert twin.weights == weights
    assert twin.transform_macs / 1e9 == pytest.approx(gigamacs, rel=2e-3)


def test_the_merge_is_what_the_paper_leaves_out() -> None:
    totals = inventory("lego_vgg16", 2, 0.5).totals
    pixels_times_outputs = sum(
        n * size**2
        for n, size, layers in [(64, 32, 1), (128, 16, 2), (256, 8, 3), (512, 4, 3), (512, 2, 3)]
        for _ in range(layers)
    )
    assert totals.transform_merge_macs - totals.transform_macs == 2 * pixels_times_outputs

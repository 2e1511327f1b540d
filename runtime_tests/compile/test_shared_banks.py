"""A bank that several calls read is stored once, whatever each of them leaves unused."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import pytest
import torch
from torch import nn

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import prepare
from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.inspect.inventory_onnx import summarize_model
from legoexport.models.lego_conv import LegoConv2d
from legoexport.passes import lego_op

CHANNELS, FILTERS, FRAGMENTS = 64, 32, 2
FILTER_BYTES = 4 * CHANNELS // FRAGMENTS * 3 * 3
EXAMPLE = torch.zeros(1, CHANNELS, 6, 6)


def layer_using(used: int, seed: int = 0) -> LegoConv2d:
    """A layer of which every choice falls on the first ``used`` filters, each of them chosen."""
    generator = torch.Generator().manual_seed(seed)
    layer = LegoConv2d(CHANNELS, CHANNELS, 3, o=FRAGMENTS, m=FILTERS, padding=1)
    nn.init.normal_(layer.lego, std=0.05, generator=generator)
    with torch.no_grad():
        layer.mask_logits.zero_()
        for output in range(CHANNELS):
            layer.mask_logits[:, output, output % used] = 1.0
    return layer


def norm_that_silences(outputs: list[int]) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(CHANNELS)
    with torch.no_grad():
        norm.weight[outputs] = 0.0
    return norm


def called_twice() -> nn.Module:
    shared = layer_using(FILTERS - 1)
    return nn.Sequential(shared, nn.ReLU(), shared)


def called_twice_with_other_norms() -> nn.Module:
    # Filter 0 serves outputs 0 and 32, which one call silences; filter 1 serves 1 and 33.
    shared = layer_using(FILTERS)
    first, second = norm_that_silences([0, 32]), norm_that_silences([1, 33])
    return nn.Sequential(shared, first, nn.ReLU(), shared, second)


def bank_tied_between_layers() -> nn.Module:
    first, second = layer_using(FILTERS - 1), layer_using(FILTERS - 2)
    second.lego = first.lego
    return nn.Sequential(first, nn.ReLU(), second)


@pytest.mark.parametrize(
    ("network", "filters_stored"),
    [
        (called_twice, FILTERS - 1),
        (called_twice_with_other_norms, FILTERS),
        (bank_tied_between_layers, FILTERS - 1),
    ],
    ids=["one unused filter", "norms silence different filters", "tied banks, different masks"],
)
def test_a_shared_bank_is_stored_once(
    network: Callable[[], nn.Module], filters_stored: int
) -> None:
    conversion = convert_module(network(), EXAMPLE, CompileOptions())
    inventory = summarize_model(onnx.load_from_string(conversion.model_bytes))
    assert inventory.stored.bank_bytes == filters_stored * FILTER_BYTES


def test_no_later_tool_has_to_merge_the_banks() -> None:
    prepared = prepare(freeze(called_twice(), EXAMPLE), EXAMPLE, CompileOptions())
    banks = {node.bank.name for node in lego_op.find(prepared.model.graph)}
    assert len(prepared.sites) == 2
    assert len(banks) == 1


def test_weights_that_do_not_lie_in_order_are_compared_too() -> None:
    network = called_twice().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    conversion = convert_module(network, EXAMPLE, CompileOptions())
    inventory = summarize_model(onnx.load_from_string(conversion.model_bytes))
    assert inventory.stored.bank_bytes == (FILTERS - 1) * FILTER_BYTES

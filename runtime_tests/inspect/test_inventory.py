"""The inventory of a network and of the file it becomes say the same, and what is really there."""

from __future__ import annotations

import copy

import onnx
import pytest
import torch
from torch import nn

from legoexport.errors import UsageError
from legoexport.inspect.inventory import Inventory
from legoexport.inspect.inventory_onnx import summarize_model
from legoexport.inspect.inventory_torch import summarize_module
from runtime_tests.inspect.network import INPUT_SHAPE, Network


@pytest.fixture(scope="module")
def of_network(network: Network) -> Inventory:
    return summarize_module(network, INPUT_SHAPE)


@pytest.fixture(scope="module")
def of_file(model: onnx.ModelProto) -> Inventory:
    return summarize_model(model)


def test_file_and_network_agree_on_every_layer(of_network: Inventory, of_file: Inventory) -> None:
    assert [row.layer for row in of_file.rows] == ["twice", "twice#2", "wide"]
    for theirs, ours in zip(of_file.rows, of_network.rows, strict=True):
        assert theirs.layer == ours.layer
        for name in ("o", "m", "n", "c", "kernel", "stride", "input_size"):
            assert getattr(theirs.shape, name) == getattr(ours.shape, name)
        assert theirs.shape.filters_used == ours.shape.filters_used
        assert theirs.shape.pairs_used == ours.shape.pairs_used


def test_file_and_network_agree_on_multiply_adds(of_network: Inventory, of_file: Inventory) -> None:
    dense_macs = 8 * 3 * 9 * 12 * 10 + 12 * 7
    assert of_file.dense_part.macs == of_network.dense_part.macs == dense_macs
    assert of_file.totals.counted_macs == of_network.totals.counted_macs
    assert of_file.dense_twin.transform_macs == of_network.dense_twin.transform_macs


def test_a_network_counts_each_parameter_once(of_network: Inventory) -> None:
    dense = 8 * 3 * 9 + 2 * 12 + 12 * 7 + 7
    lego = 5 * 4 * 9 + 6 * 2 + 12
    tables = 2 * 8 + 4 * 12
    assert of_network.totals.weights == dense + lego
    assert of_network.totals.weights_coefficients == dense + lego + tables
    assert of_network.totals.weights_coefficients_indices == dense + lego + 2 * tables
    assert of_network.dense_twin.weights == dense + 8 * 8 * 9 + 12 * 8 + 12


def test_multiply_adds_are_counted_for_every_call(of_network: Inventory) -> None:
    twice, wide = 2 * 5 * 4 * 9 * 120, 4 * 6 * 2 * 30
    merges = 2 * 2 * 8 * 120 + 4 * 12 * 30
    expected = of_network.dense_part.macs + 2 * twice + wide
    assert of_network.totals.transform_macs == expected
    assert of_network.totals.transform_merge_macs == expected + merges


def test_bytes_of_a_file_add_up(of_file: Inventory, model: onnx.ModelProto) -> None:
    stored = of_file.stored
    used = {row.layer: row.shape.filters_used for row in of_file.rows}
    assert stored.bank_bytes == 4 * (used["twice"] * 4 * 9 + used["wide"] * 2)
    assert stored.dense_bytes == 4 * (8 * 3 * 9 + 12 * 7 + 7)
    assert stored.total_bytes == model.ByteSize()


def test_planned_bytes_come_close_to_the_file(of_network: Inventory, of_file: Inventory) -> None:
    assert of_network.stored.bank_bytes == of_file.stored.bank_bytes
    entries = 2 * 8 + 4 * 12
    assert of_network.stored.table_bytes == 8 * entries + 4 * (8 + 12)


def test_unsettled_masks_are_taken_at_their_largest() -> None:
    with torch.device("meta"):
        network = Network()
    rows = summarize_module(network, INPUT_SHAPE, masks_settled=False).rows
    assert [row.ties_count for row in rows] == [None, None, None]
    assert [row.shape.filters_used for row in rows] == [5, 5, 6]
    assert [row.shape.pairs_used for row in rows] == [10, 10, 24]


def test_ties_in_the_masks_are_counted(network: Network) -> None:
    tied = copy.deepcopy(network)
    with torch.no_grad():
        tied.wide.mask_logits[0, :3] = 1.0
    rows = summarize_module(tied, INPUT_SHAPE).rows
    assert [row.ties_count for row in rows] == [0, 0, 3]


def test_the_network_is_left_as_it_is(network: Network) -> None:
    network.train()
    before = copy.deepcopy(network.state_dict())
    summarize_module(network, INPUT_SHAPE)
    assert network.training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    assert not network.stem._forward_hooks


def test_a_network_without_lego_layers_is_refused() -> None:
    with pytest.raises(UsageError, match="no Lego layer"):
        summarize_module(nn.Sequential(nn.Conv2d(3, 4, 1)), INPUT_SHAPE)


def test_an_input_that_does_not_fit_is_refused(network: Network) -> None:
    with pytest.raises(UsageError, match="does not run"):
        summarize_module(network, (4, 12, 10))

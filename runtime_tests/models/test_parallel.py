"""LegoConv2d learns the same on one device, on replicas (DataParallel) and on ranks (DDP)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from legoexport.models.lego_conv import LegoConv2d

WORKER = Path(__file__).with_name("ddp_worker.py")
RANKS = 2
WORKER_TIMEOUT_S = 120
BALANCE_WEIGHT = 1e-2
ARGUMENTS: dict[str, Any] = {
    "in_channels": 8,
    "out_channels": 12,
    "kernel_size": 3,
    "o": 2,
    "m": 5,
}
# The mean over the batch, added up in another order.
FLOAT64_TOLERANCE = 1e-12

Gradients = dict[str, Tensor | None]


def make_layer() -> LegoConv2d:
    torch.manual_seed(0)
    layer = LegoConv2d(**ARGUMENTS).double()
    with torch.no_grad():
        layer.mask_logits[..., 2] += 0.02  # so that balance has something to do
    return layer


@pytest.fixture
def batch() -> Tensor:
    return torch.randn(6, 8, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def on_one_device(batch: Tensor, *, masks_settled: bool) -> Gradients:
    layer = make_layer()
    if masks_settled:
        layer.freeze_masks()
    else:
        layer.balance_masks(BALANCE_WEIGHT)
    layer(batch).square().mean().backward()
    return {name: parameter.grad for name, parameter in layer.named_parameters()}


def assert_same(actual: Gradients, expected: Gradients) -> None:
    assert actual.keys() == expected.keys()
    for name, gradient in expected.items():
        if gradient is None:
            assert actual[name] is None
        else:
            torch.testing.assert_close(actual[name], gradient, rtol=0, atol=FLOAT64_TOLERANCE)


@pytest.mark.parametrize("masks_settled", [False, True])
def test_ranks_end_with_the_gradients_of_the_whole_batch(
    tmp_path: Path, batch: Tensor, masks_settled: bool
) -> None:
    case = {
        "arguments": ARGUMENTS,
        "state": make_layer().state_dict(),
        "balance_weight": BALANCE_WEIGHT,
        "masks_settled": masks_settled,
        "x": batch,
    }
    torch.save(case, tmp_path / "case.pt")
    run_ranks(tmp_path)
    expected = on_one_device(batch, masks_settled=masks_settled)
    assert (expected["mask_logits"] is None) == masks_settled
    for rank in range(RANKS):
        assert_same(torch.load(tmp_path / f"gradients{rank}.pt"), expected)


def run_ranks(folder: Path) -> None:
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), str(RANKS), str(folder)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    try:
        for worker in workers:
            _, errors = worker.communicate(timeout=WORKER_TIMEOUT_S)
            assert worker.returncode == 0, errors
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


def replicate(layer: LegoConv2d) -> LegoConv2d:
    """What DataParallel runs on each device: a shallow copy with linked copies of the parameters.

    Its own replicate() wants several accelerators; this does to the module what that does.
    """
    replica = layer._replicate_for_data_parallel()
    for name, parameter in layer.named_parameters():
        setattr(replica, name, parameter.clone())
    assert isinstance(replica, LegoConv2d)
    return replica


def test_replicas_add_up_to_the_gradients_of_the_whole_batch(batch: Tensor) -> None:
    layer = make_layer()
    layer.balance_masks(BALANCE_WEIGHT)
    parts = [replicate(layer)(part) for part in batch.chunk(3)]
    torch.cat(parts).square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in layer.named_parameters()}
    assert_same(gradients, on_one_device(batch, masks_settled=False))


def test_data_parallel_wraps_it(batch: Tensor) -> None:
    layer = make_layer()
    assert torch.equal(nn.DataParallel(layer)(batch), layer(batch))

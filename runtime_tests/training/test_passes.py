"""A recorded pass: what it computes when, with the graph of CUDA stood in for.

The stand-in records what runs inside it and runs it again at each replay, as CUDA does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from legoexport.training.batches import Batch
from legoexport.training.passes import STEPS_BEFORE_RECORDING, RecordedPass

BATCH_SIZE, FEATURES = 4, 3
# Sums of a few float32 products.
ROUNDING = 1e-5


class Graph:
    """Runs again what ran when it was recorded."""

    run: Callable[[], None]
    replays_count = 0

    def replay(self) -> None:
        self.replays_count += 1
        self.run()


class Stream:
    def wait_stream(self, other: Stream) -> None:
        del other


class Network:
    """``images @ weight``, squared against labels: the gradient is known in closed form."""

    def __init__(self, *, recordable: bool = True) -> None:
        self.weight = nn.Parameter(torch.arange(1.0, 1 + FEATURES))
        self.recordable, self.recording = recordable, False
        self.eager_count = 0
        self.graphs: list[Graph] = []

    def compute(self, batch: Batch, *, keeps: bool) -> Tensor:
        if self.recording and not self.recordable:
            raise RuntimeError("operation not permitted when stream is capturing")
        if not self.recording:
            self.eager_count += 1
        loss = torch.zeros(())
        if self.recording:
            self.graphs[-1].run = lambda: self._once(batch, loss, keeps=keeps)
        else:
            self._once(batch, loss, keeps=keeps)
        return loss

    def _once(self, batch: Batch, loss: Tensor, *, keeps: bool) -> None:
        if self.weight.grad is not None and keeps:
            self.weight.grad.zero_()
        else:
            self.weight.grad = None
        total = (batch.images @ self.weight - batch.labels).square().sum()
        (total / batch.whole_count).backward()
        loss.copy_(total.detach())

    @contextlib.contextmanager
    def graph(self, graph: Graph, stream: Stream) -> Iterator[None]:
        del stream
        self.graphs.append(graph)
        self.recording = True
        try:
            yield
        finally:
            self.recording = False


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Network], RecordedPass]:
    def begin(network: Network) -> RecordedPass:
        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "current_stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
        monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
        monkeypatch.setattr(torch.cuda, "graph", network.graph)
        return RecordedPass(network.compute, BATCH_SIZE)

    return begin


def batch(seed: int, count: int = BATCH_SIZE) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, FEATURES, generator=generator)
    return Batch(images, torch.arange(count), count)


def hold(network: Network, shown: Batch, loss: Tensor) -> None:
    """Loss and gradient are those of the batch that was shown, in float64."""
    images, labels = shown.images.double().numpy(), shown.labels.double().numpy()
    rest = images @ network.weight.detach().double().numpy() - labels
    np.testing.assert_allclose(float(loss), (rest**2).sum(), rtol=ROUNDING)
    assert network.weight.grad is not None
    expected = 2 * rest @ images / len(labels)
    np.testing.assert_allclose(network.weight.grad.numpy(), expected, rtol=0, atol=ROUNDING * 100)


def test_every_batch_has_its_own_gradients(pretend: Callable[[Network], RecordedPass]) -> None:
    network = Network()
    recorded = pretend(network)
    for seed in range(STEPS_BEFORE_RECORDING + 3):
        shown = batch(seed)
        hold(network, shown, recorded(shown))
    assert network.eager_count == STEPS_BEFORE_RECORDING
    assert [each.replays_count for each in network.graphs] == [3]


def test_a_smaller_batch_runs_as_it_is_and_leaves_the_gradients_where_they_are(
    pretend: Callable[[Network], RecordedPass],
) -> None:
    network = Network()
    recorded = pretend(network)
    for seed in range(STEPS_BEFORE_RECORDING + 1):
        recorded(batch(seed))
    place, small = network.weight.grad, batch(50, BATCH_SIZE - 1)
    hold(network, small, recorded(small))
    assert network.weight.grad is place
    whole = batch(51)
    hold(network, whole, recorded(whole))
    assert network.weight.grad is place


def test_what_cannot_be_recorded_runs_as_it_is(
    pretend: Callable[[Network], RecordedPass],
) -> None:
    network = Network(recordable=False)
    recorded = pretend(network)
    for seed in range(STEPS_BEFORE_RECORDING + 3):
        shown = batch(seed)
        hold(network, shown, recorded(shown))
    assert network.eager_count == STEPS_BEFORE_RECORDING + 3
    assert [each.replays_count for each in network.graphs] == [0]

"""The forward and backward pass of a step; CUDA records it once and replays it.

A step of a small network is about a thousand short kernels. Python starts them several times more
slowly than a GPU runs them, so all of them become one graph that is started at once
(``torch.cuda.CUDAGraph``): the same kernels in the same order.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from legoexport.training.batches import Batch

# Kernels are chosen and workspaces allocated in the first steps, which a recording may not do.
STEPS_BEFORE_RECORDING = 3


class Pass(Protocol):
    """Computes the gradients of a batch's mean loss."""

    def __call__(self, batch: Batch, *, keeps: bool) -> Tensor:
        """Leave the gradients, and return the sum of the losses.

        Args:
            batch: The pictures.
            keeps: Whether the gradients go into the tensors that hold those of the step before.
        """
        ...


@dataclass(frozen=True)
class _Recording:
    """What one replay reads and writes."""

    graph: torch.cuda.CUDAGraph
    batch: Batch
    loss: Tensor


class RecordedPass:
    """A pass on CUDA that is replayed after its first steps; smaller batches run as they are.

    So does a network that cannot be recorded, such as one whose Python code looks at a value. What
    is read must stay where it is: weights and gradients are written in place. Make a new one when
    other parameters are learned.

    Args:
        compute: The pass.
        batch_size: Pictures of a whole batch.
    """

    def __init__(self, compute: Pass, batch_size: int) -> None:
        self._compute, self._batch_size = compute, batch_size
        self._steps_count = 0
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._recording: _Recording | None = None
        self._is_recordable = True

    def __call__(self, batch: Batch) -> Tensor:
        """Leave the gradients of a batch, and return the sum of its losses."""
        if len(batch.labels) < self._batch_size or not self._is_recordable:
            return self._compute(batch, keeps=self._recording is not None)
        if self._steps_count < STEPS_BEFORE_RECORDING:
            self._steps_count += 1
            return self._compute_aside(batch)
        if self._recording is None:
            try:
                self._recording = self._record(batch)
            except RuntimeError:
                self._is_recordable = False
                return self._compute(batch, keeps=False)
        return self._replay(self._recording, batch)

    def _compute_aside(self, batch: Batch) -> Tensor:
        """Compute in the stream of the recording, as the documentation of CUDA graphs asks."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream), _chosen_kernels():
            loss = self._compute(batch, keeps=False)
        torch.cuda.current_stream().wait_stream(self._stream)
        return loss

    def _record(self, batch: Batch) -> _Recording:
        graph = torch.cuda.CUDAGraph()
        shown = Batch(batch.images.clone(), batch.labels.clone(), batch.whole_count)
        with _chosen_kernels(), torch.cuda.graph(graph, stream=self._stream):
            loss = self._compute(shown, keeps=True)
        return _Recording(graph, shown, loss)

    @staticmethod
    def _replay(recording: _Recording, batch: Batch) -> Tensor:
        recording.batch.images.copy_(batch.images)
        recording.batch.labels.copy_(batch.labels)
        recording.graph.replay()
        return recording.loss


def _chosen_kernels() -> contextlib.AbstractContextManager[None]:
    """Let cuDNN time its kernels in the first steps; its other settings stay as they are."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(
        enabled=cudnn.enabled,
        benchmark=True,
        deterministic=cudnn.deterministic,
        allow_tf32=cudnn.allow_tf32,
    )

"""The questions to a runtime elsewhere, and its answers.

Elsewhere is anything but this process: another build of ONNX Runtime, another instruction set,
another machine. A runtime takes the bytes of a file and images, and gives back what it computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import CheckFailed, UsageError

IMAGE_RANK, IMAGE_DTYPES = 4, ("float32", "uint8")
# Outputs by their names, ``(N, ...)``.
Values = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Feed:
    """Images that go through the model together.

    Attributes:
        images: ``(N, c, h, w)`` float32, or pixels ``(N, h, w, c)`` uint8.
        batch_size: Images per run of the model; the last run takes what is left.
    """

    images: NDArray[Any]
    batch_size: int

    def __post_init__(self) -> None:
        """Refuse what no converted model takes."""
        fits = self.images.ndim == IMAGE_RANK and self.images.dtype in IMAGE_DTYPES
        if not fits or not len(self.images) or self.batch_size < 1:
            raise UsageError(
                "a feed must hold images of float32 or uint8",
                received=f"{self.images.dtype} {self.images.shape}, batch {self.batch_size}",
                legal="float32 (N, c, h, w) or uint8 (N, h, w, c), in batches of at least one",
            )

    @property
    def batches(self) -> tuple[NDArray[Any], ...]:
        """The images of each run."""
        starts = range(0, len(self.images), self.batch_size)
        return tuple(self.images[start : start + self.batch_size] for start in starts)


@dataclass(frozen=True)
class PlacedNode:
    """A node of the graph that the runtime runs, which it may have fused or added itself.

    Attributes:
        name: Its name in the runtime.
        op: ONNX operator, or the runtime's own name for a fused one.
        provider: ONNX Runtime's name of the execution provider, such as ``CPUExecutionProvider``.
    """

    name: str
    op: str
    provider: str


@dataclass(frozen=True)
class Replay:
    """What a runtime computed.

    Attributes:
        outputs: The model's first output for each feed, ``(N, ...)`` float32.
        placement: Every node with its provider; empty if the runtime does not tell.
        runtime: The runtime in words, with its version, for reports.
        rounding_growth: Factor on the limit: how much more its order of summation may lose than
            sums in blocks, as PyTorch and ONNX Runtime's own kernels compute them.
        values: Every output of the model by its name, for each feed, ``(N, ...)`` of any type:
            what a graph gives that exposes more than its result.
    """

    outputs: tuple[NDArray[np.float32], ...]
    placement: tuple[PlacedNode, ...]
    runtime: str
    rounding_growth: float = 1.0
    values: tuple[Values, ...] = field(default=(), repr=False)

    @classmethod
    def of(
        cls,
        values: Sequence[Values],
        feeds: Sequence[Feed],
        placement: tuple[PlacedNode, ...],
        runtime: str,
        rounding_growth: float = 1.0,
    ) -> Replay:
        """Return what a runtime gave for each feed, the model's first output first.

        Raises:
            CheckFailed: That output is not float32, or not one for each image.
        """
        outputs = tuple(map(_first_output, values, feeds))
        return cls(outputs, placement, runtime, rounding_growth, tuple(values))

    def without_last(self) -> Replay:
        """Return the same without what the last feed gave."""
        return replace(self, outputs=self.outputs[:-1], values=self.values[:-1])

    def to_json(self) -> dict[str, Any]:
        """Return the runtime, and the nodes where they ran, without the outputs."""
        return {"runtime": self.runtime, "placement": [asdict(node) for node in self.placement]}


class Runtime(Protocol):
    """Runs an ONNX file on given images, somewhere else than in this process."""

    @property
    def name(self) -> str:
        """The name for ``--runtime``, with the variant after a colon if there is one."""

    def run(self, model_bytes: bytes, feeds: Sequence[Feed]) -> Replay:
        """Run the model on every feed.

        Args:
            model_bytes: The ONNX file; without external data.
            feeds: At least one.

        Raises:
            UsageError: The runtime is not installed, or does not take the model.
            CheckFailed: It stops with an error, or ends without an answer.
        """


@dataclass(frozen=True)
class Engine:
    """What it takes to measure a model.

    Attributes:
        command: Starts a worker that speaks the protocol of ``ort/worker.py``.
        provider: What the worker is to call the execution provider.
        placed_as: What the profile of a run calls it, such as ``CPUExecutionProvider``.
        runtime: The runtime in words, with its version.
        inputs: Name, type and shape of each input, if the worker itself does not tell.
    """

    command: tuple[str, ...]
    provider: str
    placed_as: str
    runtime: str
    inputs: tuple[tuple[str, str, Sequence[object]], ...] = ()


@runtime_checkable
class Timed(Protocol):
    """A runtime whose times mean something, unlike one that emulates a processor."""

    def engine(self, path: Path) -> Engine:
        """Return what it takes to measure the model at ``path``.

        Raises:
            UsageError: The runtime is not installed, or does not take the model.
        """


def join_values(batches: Sequence[Values]) -> Values:
    """Join what the runs of a feed gave, output by output."""
    return {name: np.concatenate([one[name] for one in batches]) for name in batches[0]}


def _first_output(values: Values, feed: Feed) -> NDArray[np.float32]:
    first = next(iter(values.values()))
    if first.dtype != np.float32 or len(first) != len(feed.images):
        raise CheckFailed(
            "the runtime gave something else than a float32 output for each image",
            received=f"{first.dtype} {first.shape}",
            legal=f"float32 ({len(feed.images)}, ...)",
        )
    return first

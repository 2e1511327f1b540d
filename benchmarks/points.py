"""The points of the curves: one layer, of which one thing at a time grows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.networks import Network, layer
from benchmarks.settings import Settings

SIZES = (32, 56, 112, 224, 448)
BATCH_SIZES = (1, 2, 4, 8, 16, 32)
PAPER_SPEEDUPS = (1, 2, 4, 8)
BATCH_LAYER_SIZE, THREADS_LAYER_SIZE = 56, 112
AXES = ("size", "batch", "n/m", "threads")


@dataclass(frozen=True)
class Point:
    """One measurement of a curve.

    Attributes:
        axis: What grows, one of ``AXES``.
        value: How far it has grown.
        network: The layer.
        threads: Intra-op threads.
        batch_size: Images in a run.
    """

    axis: str
    value: int
    network: Network
    threads: int
    batch_size: int = 1

    @property
    def name(self) -> str:
        """The name, such as ``size 112``; ``parse`` reads it."""
        return f"{self.axis} {self.value}"


def parse(name: str) -> tuple[str, int]:
    """Return axis and value of the point of that name."""
    axis, _, value = name.rpartition(" ")
    return axis, int(value)


def all_points(settings: Settings) -> Iterator[Point]:
    """Give every point, those of one layer together."""
    for threads in settings.threads:
        for size in SIZES:
            yield Point("size", size, layer(size), threads)
        for batch_size in BATCH_SIZES:
            yield Point("batch", batch_size, layer(BATCH_LAYER_SIZE), threads, batch_size)
        for speedup in PAPER_SPEEDUPS:
            yield Point("n/m", speedup, layer(BATCH_LAYER_SIZE, 1 / speedup), threads)
    for threads in range(1, settings.all_threads + 1):
        yield Point("threads", threads, layer(THREADS_LAYER_SIZE), threads)

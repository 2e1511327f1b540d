"""What a model holds in memory once it is loaded and has run."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from legoexport.measure.contender import start
from legoexport.measure.options import BenchOptions
from legoexport.measure.timing import Memory

# A run or two: only their memory matters.
LEAST_S = 1e-3


def measure_memory(path: Path, batch_size: int = 1) -> Memory:
    """Load the model at ``path`` on one CPU thread of this ONNX Runtime, and run it.

    Raises:
        UsageError: As for ``bench``.
        CheckFailed: As for ``bench``.
    """
    options = BenchOptions(threads=1, batch_size=batch_size, duration_s=LEAST_S)
    with ExitStack() as stack:
        return start(stack, path, options, lambda _: None).memory()

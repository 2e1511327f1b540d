"""Whether an engine gives the scores of a file's network."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines.client import start
from benchmarks.engines.engines import Engine
from benchmarks.engines.models import Case
from benchmarks.engines.records import Outcome


def judge(engine: Engine, python: Path, case: Case) -> Outcome:
    """Run one file in one engine, and hold its scores against those of PyTorch."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "scores.npy")
        with start(engine, python, case, output) as client:
            client.wait()
        version, message = client.version, client.message
        error_ratio = None if message else _error_ratio(np.load(output), case.scores)
    return Outcome(engine.name, version, case.network, case.target, error_ratio, message)


def _error_ratio(found: NDArray[Any], scores: NDArray[np.float64]) -> float:
    """Return the largest error over the largest score; infinite if these are no such scores."""
    if found.size != scores.size or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found.reshape(scores.shape) - scores).max() / np.abs(scores).max())

"""MNN, by its own converter, as the benchmarks of whole networks run it."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines.adapters.kept import kept, run
from benchmarks.workers import MNN_CONVERT
from benchmarks.workers.mnn import create_session

VERSION = version("mnn")


class Session:
    """Converts a file and runs it."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        converted = kept(path, f"mnn-{VERSION}", ".mnn", lambda out: _convert(path, out))
        self._session = create_session(str(converted), 1, shape)

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        return self._session.run(None, {"images": x})[0]


def _convert(path: str, out: Path) -> None:
    arguments = ["-f", "ONNX", "--modelFile", path, "--MNNModel", str(out), "--bizCode", "x"]
    try:
        run([sys.executable, "-c", MNN_CONVERT, *arguments], out)
    except RuntimeError as error:
        raise RuntimeError(str(error).splitlines()[-1]) from error

"""MNN, by its own converter, as the benchmarks of whole networks run it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.workers import MNN_CONVERT
from benchmarks.workers.mnn import create_session


class Session:
    """Converts a file and runs it."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            converted = Path(folder) / "model.mnn"
            arguments = ["-f", "ONNX", "--modelFile", path, "--MNNModel", str(converted)]
            done = subprocess.run(  # noqa: S603 - its own converter
                [sys.executable, "-c", MNN_CONVERT, *arguments, "--bizCode", "x"],
                capture_output=True,
                text=True,
                check=False,
            )
            if not converted.exists():
                raise RuntimeError((done.stdout + done.stderr).strip().splitlines()[-1])
            self._session = create_session(str(converted), 1, shape)

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        return self._session.run(None, {"images": x})[0]

"""onnxruntime-node: ONNX Runtime as Node.js has it, in a process of Node.js."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

MODULES = Path(sys.prefix, "node_modules")
VERSION = json.loads((MODULES / "onnxruntime-node" / "package.json").read_text())["version"]
SCRIPT = Path(__file__).with_suffix(".cjs")


class Session:
    """Runs a file there; runs are timed there too, for pipes take time of their own."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        self._shape = list(shape)
        self._folder = tempfile.TemporaryDirectory()
        self._images, self._scores = (Path(self._folder.name, name) for name in ("x", "y"))
        self._process = subprocess.Popen(  # noqa: S603 - our own script
            ["node", str(SCRIPT), path],  # noqa: S607 - wherever Node.js is installed
            env={**os.environ, "NODE_PATH": str(MODULES)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        self._ask(x, 0.0)
        return np.fromfile(self._scores, np.float32)

    def measure_ms(self, x: NDArray[np.float32], duration_s: float) -> list[float]:
        """Return latencies of single runs."""
        return list(self._ask(x, duration_s)["latencies_ms"])

    def _ask(self, x: NDArray[np.float32], duration_s: float) -> dict[str, Any]:
        x.tofile(self._images)
        asked = {"images": str(self._images), "scores": str(self._scores), "shape": self._shape}
        requests = cast("IO[str]", self._process.stdin)
        requests.write(json.dumps({**asked, "duration_s": duration_s}) + "\n")
        requests.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = cast("IO[str]", self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"node ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise RuntimeError(answer["failed"])
        return answer

"""MNN, by its own converter, in single precision."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import MNN
import numpy as np
from numpy.typing import NDArray

CONVERT = "from MNN.tools import mnnconvert; import sys; mnnconvert.convert(sys.argv)"


class Session:
    """Converts a file and runs it."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        self._shape = shape
        with tempfile.TemporaryDirectory() as folder:
            converted = Path(folder) / "model.mnn"
            arguments = ["-f", "ONNX", "--modelFile", path, "--MNNModel", str(converted)]
            done = subprocess.run(  # noqa: S603 - its own converter
                [sys.executable, "-c", CONVERT, *arguments, "--bizCode", "x"],
                capture_output=True,
                text=True,
                check=False,
            )
            if not converted.exists():
                raise RuntimeError((done.stdout + done.stderr).strip().splitlines()[-1])
            self._net = MNN.Interpreter(str(converted))
        config = {"backend": "CPU", "numThread": 1, "precision": "high"}
        self._session = self._net.createSession(config)
        self._input = self._net.getSessionInput(self._session)
        self._net.resizeTensor(self._input, shape)
        self._net.resizeSession(self._session)

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores; both ends are copied, for MNN has layouts of its own."""
        self._input.copyFrom(_tensor(self._shape, x))
        self._net.runSession(self._session)
        output = self._net.getSessionOutput(self._session)
        shape = output.getShape()
        copy = _tensor(shape, np.zeros(shape, np.float32))
        output.copyToHostTensor(copy)
        return np.array(copy.getNumpyData(), np.float32).reshape(shape)


def _tensor(shape: tuple[int, ...], values: NDArray[np.float32]) -> Any:
    layout = MNN.Tensor_DimensionType_Caffe  # channels before pixels
    return MNN.Tensor(shape, MNN.Halide_Type_Float, values, layout)

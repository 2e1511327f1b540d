"""ONNX Runtime, of whatever version the environment has."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

VERSION = onnxruntime.__version__
ERRORS_ONLY = 3


class Session:
    """Runs a file on the CPU provider."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        del shape
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        self._name = self._session.get_inputs()[0].name

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        return np.asarray(self._session.run(None, {self._name: x})[0])

"""OpenVINO, in single precision: its defaults may take bfloat16 where the processor has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1}


class Session:
    """Runs a file that OpenVINO reads itself."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        core = openvino.Core()
        model = core.read_model(path)
        model.reshape(list(shape))
        self._request = core.compile_model(model, "CPU", SETTINGS).create_infer_request()

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        return np.array(self._request.infer([x])[0])

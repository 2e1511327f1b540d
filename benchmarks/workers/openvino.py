"""Runs a model in OpenVINO; in single precision, as everywhere here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray

# Its defaults may take bfloat16 where the processor has it.
SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}


class OpenVinoSession:
    """Runs a model as a session of ONNX Runtime does.

    Args:
        path: An ONNX file, which OpenVINO reads itself.
        threads: Threads of a run.
        shape: Shape of the one input.
    """

    def __init__(self, path: str, threads: int, shape: Sequence[int]) -> None:
        core = openvino.Core()
        model = core.read_model(path)
        model.reshape(list(shape))
        compiled = core.compile_model(model, "CPU", SETTINGS | {"INFERENCE_NUM_THREADS": threads})
        self._request = compiled.create_infer_request()

    def run(self, _: None, feeds: Mapping[str, NDArray[np.float32]]) -> list[NDArray[Any]]:
        """Run the model."""
        (images,) = feeds.values()
        return [np.array(self._request.infer([images])[0])]


create_session = OpenVinoSession

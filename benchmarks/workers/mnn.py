"""Runs a model in MNN; in single precision, as everywhere here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import MNN
import numpy as np
from numpy.typing import NDArray


class MnnSession:
    """Runs a model as a session of ONNX Runtime does.

    Args:
        path: A file that MNN's converter wrote.
        threads: Threads of MNN's own pool.
        shape: Shape of the one input.
    """

    def __init__(self, path: str, threads: int, shape: Sequence[int]) -> None:
        self._shape = tuple(shape)
        self._net = MNN.Interpreter(path)
        config = {"backend": "CPU", "numThread": threads, "precision": "high"}
        self._session = self._net.createSession(config)
        self._input = self._net.getSessionInput(self._session)
        self._net.resizeTensor(self._input, self._shape)
        self._net.resizeSession(self._session)

    def run(self, _: None, feeds: Mapping[str, NDArray[np.float32]]) -> list[NDArray[Any]]:
        """Run the model; images and outputs are copied, for MNN keeps its own layout of both."""
        (images,) = feeds.values()
        self._input.copyFrom(_tensor(self._shape, images))
        self._net.runSession(self._session)
        output = self._net.getSessionOutput(self._session)
        shape = output.getShape()
        copy = _tensor(shape, np.zeros(shape, np.float32))
        output.copyToHostTensor(copy)
        return [np.array(copy.getNumpyData(), np.float32).reshape(shape)]


def _tensor(shape: Sequence[int], values: NDArray[np.float32]) -> Any:
    layout = MNN.Tensor_DimensionType_Caffe  # channels before pixels
    return MNN.Tensor(shape, MNN.Halide_Type_Float, values, layout)


create_session = MnnSession

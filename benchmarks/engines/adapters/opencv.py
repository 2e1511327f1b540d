"""OpenCV's DNN module."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


class Session:
    """Runs a file that OpenCV reads itself."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        del shape
        cv2.setNumThreads(1)
        self._net = cv2.dnn.readNetFromONNX(path)

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        self._net.setInput(x)
        return np.array(self._net.forward())

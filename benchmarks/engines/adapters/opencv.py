"""OpenCV's DNN module, by the importer and engine that it takes by itself."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

VERSION = cv2.__version__


class Session:
    """Runs a file that OpenCV reads itself."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        del shape
        cv2.setNumThreads(1)
        try:
            self._net = self.read(path)
        except cv2.error as error:
            # Without the place in its own source, which comes first and fills a line.
            raise RuntimeError(error.err.strip("> \n")) from error

    @staticmethod
    def read(path: str) -> Any:
        """Read the file."""
        return cv2.dnn.readNetFromONNX(path)

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        self._net.setInput(x)
        return np.array(self._net.forward())

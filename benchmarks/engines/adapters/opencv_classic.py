"""OpenCV's DNN module, by the importer and engine of OpenCV 4, which OpenCV 5 still has."""

from __future__ import annotations

from typing import Any

import cv2

from benchmarks.engines.adapters import opencv

VERSION = opencv.VERSION


class Session(opencv.Session):
    """Runs a file that the classic importer reads."""

    @staticmethod
    def read(path: str) -> Any:
        """Read the file."""
        return cv2.dnn.readNetFromONNX(path, engine=cv2.dnn.ENGINE_CLASSIC)

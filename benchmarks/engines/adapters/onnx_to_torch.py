"""onnx2torch, which makes a module of PyTorch."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

try:
    import torchvision  # noqa: F401 - whether it finds its operators
except RuntimeError:
    # Built for CUDA, it finds none beside a CPU build of torch, but it asks for these.
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor a, Tensor b, float c) -> Tensor")

import onnx2torch

VERSION = version("onnx2torch")


class Session:
    """Runs the module."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        del shape
        torch.set_num_threads(1)
        self._module = onnx2torch.convert(self.read(path)).eval()

    @staticmethod
    def read(path: str) -> onnx.ModelProto:
        """Read the file."""
        return onnx.load(path)

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        with torch.inference_mode():
            return np.asarray(self._module(torch.from_numpy(x)))

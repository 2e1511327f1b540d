"""tract, an engine in Rust."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import numpy as np
import tract
from numpy.typing import NDArray

VERSION = version("tract")


class Session:
    """Runs a file that tract reads itself."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        model = tract.onnx().load(path)
        model.set_input_fact(0, ",".join(map(str, shape)) + ",f32")
        self._runnable = model.into_model().into_runnable()

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        return np.array(self._runnable.run([x])[0].to_numpy())

"""onnx.reference: the definitions of the operators, as ONNX itself gives them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

VERSION = onnx.__version__


class Session:
    """Evaluates a file node by node."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        del shape
        model = onnx.load(path)
        self._name = model.graph.input[0].name
        self._evaluator = ReferenceEvaluator(model)

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        outputs: Any = self._evaluator.run(None, {self._name: x})
        return np.asarray(outputs[0])

"""LiteRT, by onnx2tf, which writes its files from ONNX."""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from benchmarks.engines.adapters.kept import kept, run
from benchmarks.engines.adapters.said import against_onnx2tf

VERSION = f"{version('ai-edge-litert')} by onnx2tf {version('onnx2tf')}"
CONVERT = str(Path(sys.prefix, "bin", "onnx2tf"))
# Where onnx2tf looks for photographs to try layouts with, before it loads them from elsewhere.
PHOTOGRAPHS, SHAPE = "calibration_image_sample_data_20x128x128x3_float32.npy", (20, 128, 128, 3)


class Session:
    """Converts a file and runs it; its images have their channels last."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        del shape
        name = "litert-" + version("onnx2tf")
        converted = kept(path, name, ".tflite", lambda out: _convert(path, out))
        self._interpreter = Interpreter(str(converted), num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        self._interpreter.set_tensor(self._input, x.transpose(0, 2, 3, 1))
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output))


def _convert(path: str, out: Path) -> None:
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        # A copy: it runs onnxsim and writes what comes out over the file that it was given.
        model, written = Path(folder, "model.onnx"), Path(folder, "model_float32.tflite")
        shutil.copy(path, model)
        noise = np.random.default_rng(0).random(SHAPE, np.float32)
        np.save(Path(folder, PHOTOGRAPHS), noise)
        # Not strict: that tries every layer with onnxruntime, which takes minutes for a network.
        command = [CONVERT, "-i", str(model), "-n", "-dsm", "-o", folder]
        try:
            run(command, written, Path(folder))
        except RuntimeError as error:
            raise RuntimeError(against_onnx2tf(str(error))) from error
        written.rename(out)

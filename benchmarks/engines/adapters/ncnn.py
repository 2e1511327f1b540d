"""ncnn, by pnnx, its own converter."""

from __future__ import annotations

import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import ncnn
import numpy as np
from numpy.typing import NDArray

from benchmarks.engines.adapters.kept import kept, run
from benchmarks.engines.adapters.said import against_pnnx

VERSION = f"{version('ncnn')} by pnnx {version('pnnx')}"
# pnnx puts its program beside Python's.
CONVERT = Path(sys.prefix, "bin", "pnnx")


class Session:
    """Converts a file and runs it, in single precision."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        # A network is two files, and pnnx names all that it writes after the one that it reads.
        folder = kept(path, f"ncnn-{version('pnnx')}", "", lambda out: _convert(path, shape, out))
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = 1
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        self._net.load_param(str(folder / "model.ncnn.param"))
        self._net.load_model(str(folder / "model.ncnn.bin"))
        (self._input,), (self._output,) = self._net.input_names(), self._net.output_names()

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores; ncnn runs one image and knows no batch."""
        extractor = self._net.create_extractor()
        extractor.input(self._input, ncnn.Mat(np.ascontiguousarray(x[0])))
        return np.array(extractor.extract(self._output)[1])


def _convert(path: str, shape: tuple[int, ...], out: Path) -> None:
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        model = Path(folder, "model.onnx")
        model.symlink_to(path)
        sizes = ",".join(map(str, shape))
        command = [str(CONVERT), str(model), f"inputshape=[{sizes}]", "fp16=0"]
        unknown = against_pnnx(run(command, model.with_suffix(".ncnn.bin")))
        if unknown:
            raise RuntimeError(unknown)
        out.mkdir()
        for name in ("model.ncnn.param", "model.ncnn.bin"):
            model.with_name(name).rename(out / name)

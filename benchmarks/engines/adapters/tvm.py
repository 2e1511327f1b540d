"""TVM, by its importer to Relax, with the schedules that it has without tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.relax.frontend.onnx import from_onnx
from tvm.target.codegen import llvm_get_system_cpu

from benchmarks.engines.adapters.kept import kept

VERSION = tvm.__version__


class Session:
    """Compiles a file and runs it."""

    def __init__(self, path: str, shape: tuple[int, ...]) -> None:
        del shape
        library = kept(path, f"tvm-{VERSION}", ".so", lambda out: _compile(path, out))
        module = tvm.runtime.load_module(str(library))
        self._device = tvm.cpu()
        self._machine = relax.VirtualMachine(module, self._device)

    def run(self, x: NDArray[np.float32]) -> NDArray[Any]:
        """Return the scores."""
        return np.asarray(self._machine["main"](tvm.runtime.tensor(x, self._device)).numpy())


def _compile(path: str, out: Path) -> None:
    # By itself it compiles for any processor of the architecture.
    target = tvm.target.Target({"kind": "llvm", "mcpu": llvm_get_system_cpu()})
    tvm.compile(from_onnx(onnx.load(path)), target=target).export_library(str(out))

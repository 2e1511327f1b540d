"""onnx2torch of what onnxsim makes of a file: it wants every weight to be an initializer."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import onnx

from benchmarks.engines.adapters import onnx_to_torch
from benchmarks.engines.adapters.kept import kept

VERSION = onnx_to_torch.VERSION


class Session(onnx_to_torch.Session):
    """Folds the banks and runs the module."""

    @staticmethod
    def read(path: str) -> onnx.ModelProto:
        """Read the file, and let onnxsim fold what is constant."""
        folded = kept(path, f"onnxsim-{version('onnxsim')}", ".onnx", lambda out: _fold(path, out))
        return onnx.load(folded)


def _fold(path: str, out: Path) -> None:
    import onnxsim  # noqa: PLC0415 - it takes as long as onnx2torch, and is needed once

    onnx.save(onnxsim.simplify(onnx.load(path))[0], out)

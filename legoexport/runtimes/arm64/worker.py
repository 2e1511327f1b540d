"""Runs a model on images, in a Python that has ONNX Runtime and numpy and nothing of legoexport.

The folder given holds ``model.onnx``, ``request.json`` and an array for each feed; what comes out
is written beside them.
"""

from __future__ import annotations

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

PROVIDERS = ["CPUExecutionProvider"]
FATAL_ONLY = 4
# Linux: bits of a word that the kernel, or qemu in its place, gives every arm64 process.
AT_HWCAP2, HWCAP2_SME = 26, 1 << 23


def main(folder: Path) -> None:
    """Answer the request in ``folder``."""
    request = json.loads((folder / "request.json").read_text())
    answer: dict[str, Any] = {"onnxruntime": onnxruntime.__version__, "has_sme": _has_sme()}
    try:
        session = _load(folder / "model.onnx", request["threads"])
    except Exception as error:
        answer["refused"] = str(error)
    else:
        answer |= _run(session, folder, request["batch_sizes"])
    (folder / "answer.json").write_text(json.dumps(answer))


def _load(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = FATAL_ONLY
    return onnxruntime.InferenceSession(path.read_bytes(), options, providers=PROVIDERS)


def _run(session: Any, folder: Path, batch_sizes: list[int]) -> dict[str, Any]:
    name = session.get_inputs()[0].name
    names = [one.name for one in session.get_outputs()]
    try:
        for i, size in enumerate(batch_sizes):
            images = np.load(folder / f"images_{i}.npy")
            starts = range(0, len(images), size)
            batches = [session.run(names, {name: images[k : k + size]}) for k in starts]
            np.savez(folder / f"outputs_{i}.npz", *map(np.concatenate, zip(*batches, strict=True)))
    except Exception as error:
        return {"failed": str(error)}
    return {"names": names}


def _has_sme() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    getauxval = ctypes.CDLL(None).getauxval
    getauxval.restype = ctypes.c_ulong
    return bool(getauxval(ctypes.c_ulong(AT_HWCAP2)) & HWCAP2_SME)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

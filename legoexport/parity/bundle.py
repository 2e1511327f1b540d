"""Bundle: a parity check to carry away and repeat without PyTorch.

A folder with ``arrays.npz`` (inputs and golden outputs of every set of images) and ``bundle.json``
(limits, shapes, versions, and the digests of the model and of the arrays).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import ParityFailed, UsageError
from legoexport.host.staging import staged_folder
from legoexport.ort.session import RuntimeModel
from legoexport.parity.agreement import Agreement
from legoexport.parity.judge import measure

FORMAT_VERSION = 1
RECORD_FILE = "bundle.json"
ARRAYS_FILE = "arrays.npz"
PACKAGES = ("torch", "onnxruntime", "numpy", "legoexport")
LEGAL = "a folder that legoexport verify --save-bundle wrote"


@dataclass(frozen=True)
class GoldenSet:
    """Images, what the model must give for them, and how closely.

    Attributes:
        name: What the images are.
        batch_size: Images per run of the model.
        limit: The largest error that passes, in units of the output.
        reference_max_abs_error: PyTorch float32's own error against float64.
        images: ``(N, c, h, w)`` float32.
        outputs: ``(N, ...)`` float32, rounded from PyTorch float64.
    """

    name: str
    batch_size: int
    limit: float
    reference_max_abs_error: float
    images: NDArray[np.float32]
    outputs: NDArray[np.float32]


def save_bundle(folder: Path, model_bytes: bytes, sets: Sequence[GoldenSet]) -> None:
    """Write a bundle in one step.

    Args:
        folder: The folder to make; it may exist if it is empty.
        model_bytes: The ONNX file that the bundle is for.
        sets: What to check.

    Raises:
        UsageError: The folder holds something already, or cannot be written.
    """
    check_vacant(folder)
    arrays = _pack(sets)
    record = {
        "version": FORMAT_VERSION,
        "model_sha256": _digest(model_bytes),
        "arrays_sha256": _digest(arrays),
        "rule": "max|onnx - golden| <= limit; top-1 may differ where the scores tie within limit",
        "sets": [_describe(one) for one in sets],
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }
    text = json.dumps(record, indent=2) + "\n"
    with staged_folder(folder) as staged:
        (staged / RECORD_FILE).write_text(text)
        (staged / ARRAYS_FILE).write_bytes(arrays)


def read_bundle(folder: Path, model_bytes: bytes) -> list[GoldenSet]:
    """Read a bundle that was made for ``model_bytes``.

    Raises:
        UsageError: The bundle is damaged.
        ParityFailed: The bundle was made for another model.
    """
    record = _read_record(folder)
    digest = _digest(model_bytes)
    if digest != record["model_sha256"]:
        raise ParityFailed(
            "the model is not the one that the bundle was made for",
            received=f"sha256 {digest}",
            legal=f"sha256 {record['model_sha256']}",
            next_step="make a new bundle from the checkpoint with --save-bundle",
        )
    return _read_sets(folder, record)


def replay(sets: Sequence[GoldenSet], model: RuntimeModel) -> dict[str, Agreement]:
    """Repeat the check of a bundle in this process; PyTorch is not needed.

    Returns:
        The agreement on each set of images, by its name.

    Raises:
        CheckFailed: ONNX Runtime stops with an error.
    """
    return judge_golden(sets, [model.run(one.images, one.batch_size) for one in sets])


def judge_golden(
    sets: Sequence[GoldenSet], outputs: Sequence[NDArray[np.float32]], growth: float = 1.0
) -> dict[str, Agreement]:
    """Judge what a model gave for each set, wherever it ran; return agreements by name of the set.

    Args:
        sets: What the model must give.
        outputs: What it gave, set by set.
        growth: The ``rounding_growth`` of the runtime that ran it.

    Raises:
        UsageError: The outputs have other shapes than the golden ones.
    """
    both = zip(sets, outputs, strict=True)
    return {one.name: _judge(one, actual, growth) for one, actual in both}


def check_vacant(folder: Path) -> None:
    """Check early that a bundle can be written to ``folder``.

    Raises:
        UsageError: It cannot be written there.
    """
    taken = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    if taken or not folder.resolve().parent.is_dir():
        raise UsageError(
            f"cannot write a bundle to {folder}",
            received="it holds something already" if taken else "its parent does not exist",
            legal="a new or empty folder",
        )


def _judge(one: GoldenSet, actual: NDArray[np.float32], growth: float) -> Agreement:
    if actual.shape != one.outputs.shape:
        raise UsageError(
            "the model gives other shapes than the bundle holds",
            received=actual.shape,
            legal=one.outputs.shape,
        )
    error = one.reference_max_abs_error
    limit = growth * one.limit
    return measure(one.outputs, actual, limit=limit, reference_max_abs_error=error)


def _describe(one: GoldenSet) -> dict[str, Any]:
    fields = asdict(one)
    images, outputs = fields.pop("images"), fields.pop("outputs")
    return fields | {"input_shape": images.shape, "output_shape": outputs.shape}


def _pack(sets: Sequence[GoldenSet]) -> bytes:
    arrays: dict[str, NDArray[np.float32]] = {}
    for position, one in enumerate(sets):
        arrays |= {f"images_{position}": one.images, f"outputs_{position}": one.outputs}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD_FILE).read_text())
        version, _, _ = (record[key] for key in ("version", "model_sha256", "arrays_sha256"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, RECORD_FILE, error) from None
    if version != FORMAT_VERSION:
        raise UsageError(
            f"{folder}: unknown bundle version", received=version, legal=FORMAT_VERSION
        )
    return dict(record)


def _read_sets(folder: Path, record: dict[str, Any]) -> list[GoldenSet]:
    try:
        content = (folder / ARRAYS_FILE).read_bytes()
        if _digest(content) != record["arrays_sha256"]:
            raise ValueError("its digest is not the recorded one")
        arrays = np.load(io.BytesIO(content), allow_pickle=False)
        return [_golden(fields, arrays, i) for i, fields in enumerate(record["sets"])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, ARRAYS_FILE, error) from None


def _golden(fields: dict[str, Any], arrays: Any, position: int) -> GoldenSet:
    return GoldenSet(
        name=str(fields["name"]),
        batch_size=int(fields["batch_size"]),
        limit=float(fields["limit"]),
        reference_max_abs_error=float(fields["reference_max_abs_error"]),
        images=arrays[f"images_{position}"],
        outputs=arrays[f"outputs_{position}"],
    )


def _damaged(folder: Path, name: str, error: Exception) -> UsageError:
    return UsageError(f"{folder} is not a bundle: {name}", received=repr(error), legal=LEGAL)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

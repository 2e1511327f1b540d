"""Bundle: a parity check to carry away and repeat without PyTorch.

A folder with ``arrays.npz`` (inputs and golden outputs of every set of images), ``bundle.json``
(limits, shapes, versions, the digests of all else and its own, and what the model says of its
pictures) and, where images are made of pixels, ``pictures/``.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legoexport.errors import ParityFailed, UsageError
from legoexport.host.outputs import real_path
from legoexport.host.reading import UNREADABLE
from legoexport.host.staging import staged_folder
from legoexport.lego.file_facts import read_facts
from legoexport.ort.session import RuntimeModel, parse_model
from legoexport.parity.agreement import Agreement
from legoexport.parity.bundle_outputs import describe_array, describe_output, read_output
from legoexport.parity.bundle_pictures import check_pictures, digests, pack_pictures
from legoexport.parity.golden import GoldenOutput, GoldenSet, judge_golden

FORMAT_VERSION = 2
# Of one image and one output of floats per set; it is still read.
FIRST_VERSION = 1
RECORD_FILE = "bundle.json"
ARRAYS_FILE = "arrays.npz"
# Bundles of before have none.
OWN_DIGEST = "record_sha256"
PACKAGES = ("torch", "onnxruntime", "numpy", "legoexport")
RULE = (
    "floats: max|onnx - golden| <= limit, top-1 may differ where the scores tie within limit;"
    " integers and booleans: each is the golden one or PyTorch float32's; indices with ranks: or"
    " the golden score of the index in its row is within the limit of the score at its place, and"
    " the row repeats no index"
)
INT8_RULE = (
    "golden is what the file's integers give; floats: max|onnx - golden| <= limit, top-1 may differ"
    " where the scores tie within limit, and at most moved_allowed_count images have an error above"
    " same; integers: equal; indices with ranks: or the golden score of the index in its row is"
    " within the limit of the score at its place, and the row repeats no index"
)
LEGAL = "a folder that legoexport verify --save-bundle wrote"


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
    facts = read_facts(parse_model(model_bytes, "the model"))
    pictures = pack_pictures(sets, facts)
    record = {
        "version": FORMAT_VERSION,
        "model_sha256": _digest(model_bytes),
        "arrays_sha256": _digest(arrays),
        "pictures": digests(pictures),
        "rule": INT8_RULE if facts.precision == "int8" else RULE,
        "sets": [_describe(one) for one in sets],
        "facts": facts.to_json(),
        "versions": {name: metadata.version(name) for name in PACKAGES},
    }
    text = json.dumps(record | {OWN_DIGEST: _own_digest(record)}, indent=2) + "\n"
    files = {RECORD_FILE: text.encode(), ARRAYS_FILE: arrays, **pictures}
    with staged_folder(folder) as staged:
        for name, content in files.items():
            (staged / name).parent.mkdir(exist_ok=True)
            (staged / name).write_bytes(content)


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
    check_pictures(folder, record.get("pictures", {}))
    return _read_sets(folder, record)


def replay(sets: Sequence[GoldenSet], model: RuntimeModel) -> dict[str, Agreement]:
    """Repeat the check of a bundle in this process; PyTorch is not needed.

    Returns:
        The agreement on each set of images, by its name.

    Raises:
        CheckFailed: ONNX Runtime stops with an error.
    """
    outputs = [tuple(model.run_all(one.arrays, one.batch_size).values()) for one in sets]
    return judge_golden(sets, outputs)


def check_vacant(folder: Path) -> None:
    """Check early that a bundle can be written to ``folder``.

    Raises:
        UsageError: It cannot be written there.
    """
    parent = real_path(folder).parent
    taken = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    if taken or not parent.is_dir():
        raise UsageError(
            f"cannot write a bundle to {folder}",
            received="it holds something already" if taken else "its parent does not exist",
            legal="a new or empty folder",
        )


def _describe(one: GoldenSet) -> dict[str, Any]:
    return {
        "name": one.name,
        "batch_size": one.batch_size,
        "inputs": [describe_array(array) for array in one.arrays],
        "outputs": [describe_output(output) for output in one.outputs],
    }


def _pack(sets: Sequence[GoldenSet]) -> bytes:
    arrays: dict[str, NDArray[Any]] = {}
    for i, one in enumerate(sets):
        arrays |= {f"input_{i}_{j}": array for j, array in enumerate(one.arrays)}
        for j, output in enumerate(one.outputs):
            arrays[f"output_{i}_{j}"] = output.values
            if output.float32_values is not None:
                arrays[f"float32_{i}_{j}"] = output.float32_values
            if output.among is not None:
                arrays[f"among_{i}_{j}"] = output.among
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD_FILE).read_text())
        version, _, _ = (record[key] for key in ("version", "model_sha256", "arrays_sha256"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, RECORD_FILE, error) from None
    legal = (FIRST_VERSION, FORMAT_VERSION)
    if version not in legal:
        raise UsageError(f"{folder}: unknown bundle version", received=version, legal=legal)
    digest = _own_digest(record)
    if record.get(OWN_DIGEST, digest) != digest:
        raise UsageError(
            f"{folder}: {RECORD_FILE} was changed after the bundle was saved",
            received=f"{OWN_DIGEST} {digest} of what it says",
            legal=f"{OWN_DIGEST} {record[OWN_DIGEST]}",
            next_step="make a new bundle from the checkpoint with --save-bundle",
        )
    return dict(record)


def _own_digest(record: dict[str, Any]) -> str:
    """Return the digest of all that a record says, but for that digest."""
    said = {key: value for key, value in record.items() if key != OWN_DIGEST}
    return _digest(json.dumps(said, sort_keys=True).encode())


def _read_sets(folder: Path, record: dict[str, Any]) -> list[GoldenSet]:
    try:
        content = (folder / ARRAYS_FILE).read_bytes()
        if _digest(content) != record["arrays_sha256"]:
            raise ValueError("its digest is not the recorded one")
        arrays = np.load(io.BytesIO(content), allow_pickle=False)
        read = _golden_of_first if record["version"] == FIRST_VERSION else _golden
        return [read(fields, arrays, i) for i, fields in enumerate(record["sets"])]
    except UNREADABLE as error:
        raise _damaged(folder, ARRAYS_FILE, error) from None


def _golden_of_first(fields: dict[str, Any], arrays: Any, position: int) -> GoldenSet:
    output = GoldenOutput(
        name="output",
        values=arrays[f"outputs_{position}"],
        limit=float(fields["limit"]),
        reference_max_abs_error=float(fields["reference_max_abs_error"]),
    )
    images = arrays[f"images_{position}"]
    return GoldenSet(str(fields["name"]), int(fields["batch_size"]), (images,), (output,))


def _golden(fields: dict[str, Any], arrays: Any, position: int) -> GoldenSet:
    outputs = tuple(
        read_output(one, arrays, f"{position}_{j}") for j, one in enumerate(fields["outputs"])
    )
    missing = {one.scores for one in outputs} - {None, *(one.name for one in outputs)}
    if missing:
        raise ValueError(f"indices rank an output that it lacks: {missing}")
    if not fields["inputs"] or int(fields["batch_size"]) < 1:
        raise ValueError(f"{fields['name']}: no inputs, or no images in a batch")
    return GoldenSet(
        name=str(fields["name"]),
        batch_size=int(fields["batch_size"]),
        arrays=tuple(arrays[f"input_{position}_{j}"] for j, _ in enumerate(fields["inputs"])),
        outputs=outputs,
    )


def _damaged(folder: Path, name: str, error: Exception) -> UsageError:
    return UsageError(f"{folder} is not a bundle: {name}", received=repr(error), legal=LEGAL)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

"""One run of the worker: the model and the images go in, the outputs come out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from legoexport.errors import CheckFailed, UsageError
from legoexport.runtimes.base import Feed, Replay, Values
from legoexport.signals import temporary_folder

MESSAGE_LINES = 4
# Variables of the interpreter that runs this, and of its machine's libraries.
OURS_ALONE = ("LD_", "PYTHON")


@dataclass(frozen=True)
class Place:
    """Where the worker runs.

    Attributes:
        command: Starts the worker; the folder that it works in is added.
        wheels: The folder with its ONNX Runtime and numpy.
        processor: The processor in words.
    """

    command: tuple[str, ...]
    wheels: Path
    processor: str


def replay(place: Place, threads: int, model_bytes: bytes, feeds: Sequence[Feed]) -> Replay:
    """Have a worker run a model on every feed, with ``threads`` intra-op threads.

    Raises:
        UsageError: ONNX Runtime does not load the model.
        CheckFailed: ONNX Runtime fails, or the process ends without an answer.
    """
    with temporary_folder() as folder:
        _write(folder, threads, model_bytes, feeds)
        _run(place, folder)
        answer = json.loads((folder / "answer.json").read_text())
        sme = ", which has SME" if answer["has_sme"] else ""
        words = f"onnxruntime {answer['onnxruntime']} on {place.processor}{sme}"
        _check(answer, words)
        values = [_read(folder, i, answer["names"]) for i, _ in enumerate(feeds)]
    return Replay.of(values, feeds, (), words)


def _write(folder: Path, threads: int, model_bytes: bytes, feeds: Sequence[Feed]) -> None:
    (folder / "model.onnx").write_bytes(model_bytes)
    request = {"threads": threads, "batch_sizes": [feed.batch_size for feed in feeds]}
    (folder / "request.json").write_text(json.dumps(request))
    for i, feed in enumerate(feeds):
        np.save(folder / f"images_{i}.npy", feed.images)


def _run(place: Place, folder: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(OURS_ALONE)}
    command = (*place.command, str(folder))
    environment = kept | {"PYTHONPATH": str(place.wheels)}
    done = subprocess.run(  # noqa: S603
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        code = done.returncode
        cause = f"signal {-code}" if code < 0 else f"exit code {code}"
        said = "\n".join(done.stderr.strip().splitlines()[-MESSAGE_LINES:]) or "no message"
        raise CheckFailed(f"the run on {place.processor} ended by {cause}", received=said)


def _check(answer: dict[str, Any], words: str) -> None:
    if "refused" in answer:
        raise UsageError(f"{words} does not load the model", received=answer["refused"])
    if "failed" in answer:
        raise CheckFailed(f"{words} fails while it runs the model", received=answer["failed"])


def _read(folder: Path, i: int, names: Sequence[str]) -> Values:
    with np.load(folder / f"outputs_{i}.npz") as arrays:
        return {name: arrays[key] for name, key in zip(names, arrays.files, strict=True)}

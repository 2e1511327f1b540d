"""Runs one file in one engine, in a process of its own.

    python worker.py ADAPTER MODEL IMAGES.npy --out OUTPUT.npy

ADAPTER is the path of a file in ``adapters``. The engine's environment holds NumPy and
the engine; of this repository only ``benchmarks.workers`` needs no more.

Each line that it prints is JSON: ``{"version": ...}`` once the engine is imported,
``{"message": ...}`` once the file has run, empty if nothing is against it, and then for every line
that it reads, which is a number of seconds, ``{"latencies_ms": [...]}`` of runs over so long.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np

MESSAGE_LENGTH = 300


def main() -> None:
    """Answer until stdin closes, or until the engine refuses the file."""
    parser = argparse.ArgumentParser(description="Run one file in one engine.")
    for name in ("adapter", "model", "images"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever an engine prints must not be taken for an answer
    images = np.load(given.images)
    try:
        session = _start(given, images, answers)
    except Exception as error:
        _answer(answers, message=_told(error)[:MESSAGE_LENGTH])
        return
    _answer(answers, message="")
    for line in sys.stdin:
        _answer(answers, latencies_ms=_measure(session, images, float(line)))


def _start(given: argparse.Namespace, images: Any, answers: IO[str]) -> Any:
    adapter = _import(given.adapter)
    _answer(answers, version=adapter.VERSION)
    session = adapter.Session(str(given.model), images.shape)
    np.save(given.out, session.run(images))
    return session


def _told(error: Exception) -> str:
    """Return one line; adapters raise RuntimeError with what an engine says in other ways."""
    text = " ".join(str(error).split())
    return text if isinstance(error, RuntimeError) and text else f"{type(error).__name__}: {text}"


def _import(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("adapter", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    adapter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(adapter)
    return adapter


def _measure(session: Any, images: Any, duration_s: float) -> list[float]:
    """Return latencies (ms) of single runs; an engine of another language times itself."""
    if hasattr(session, "measure_ms"):
        measured: list[float] = session.measure_ms(images, duration_s)
        return measured
    latencies_ms: list[float] = []
    deadline = time.perf_counter() + duration_s
    while not latencies_ms or time.perf_counter() < deadline:
        start = time.perf_counter()
        session.run(images)
        latencies_ms.append(1e3 * (time.perf_counter() - start))
    return latencies_ms


def _answer(answers: IO[str], **content: object) -> None:
    answers.write(json.dumps(content) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()

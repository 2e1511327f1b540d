"""Runs one file in one engine, in a process of its own, and says what came out as JSON.

    python worker.py ADAPTER MODEL IMAGES.npy --out OUTPUT.npy

ADAPTER is the path of a file in ``adapters``. The engine's environment holds NumPy and
the engine; of this repository only ``benchmarks.workers`` needs no more.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

MESSAGE_LENGTH = 200


def main() -> None:
    """Print what the engine says against the file; nothing if it takes it."""
    parser = argparse.ArgumentParser(description="Run one file in one engine.")
    for name in ("adapter", "model", "images"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    sys.stdout.flush()
    try:
        _run(given)
        found = {}
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        found = {"message": text[:MESSAGE_LENGTH]}
    print("\n" + json.dumps(found))


def _run(given: argparse.Namespace) -> None:
    spec = importlib.util.spec_from_file_location("adapter", given.adapter)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(given.adapter)
    adapter = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(adapter)
    images = np.load(given.images)
    session = adapter.Session(str(given.model), images.shape)
    np.save(given.out, session.run(images))


if __name__ == "__main__":
    main()

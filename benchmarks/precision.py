"""The precisions of a network: the five files that are raced, and how far each may be off."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

from benchmarks.files import ROOT
from benchmarks.labels import DENSE_FP32, DENSE_INT8, FILES, LEGO_FP32, LEGO_INT8, LEGO_STORED
from benchmarks.networks import DIGITS, NETWORKS, Network
from benchmarks.race import LARGEST_ERROR_RATIO, Runner
from legoexport.errors import CheckFailed

MEASURED = (
    "vgg16-32",
    "vgg16-32-published",
    "vgg16-224",
    "vgg16-224-small",
    "resnet50-224",
    "mobilenet-224",
)
# A file in eight bits is another function. Rounding adds up over 50 layers whose random weights
# nothing made robust; a graph that is wrong is off by as much as its outputs are large.
ROUNDING_ERROR_RATIO = 0.5
LIMITS = {
    DENSE_FP32: LARGEST_ERROR_RATIO,
    DENSE_INT8: ROUNDING_ERROR_RATIO,
    LEGO_FP32: LARGEST_ERROR_RATIO,
    LEGO_STORED: ROUNDING_ERROR_RATIO,
    LEGO_INT8: ROUNDING_ERROR_RATIO,
}


def chosen(names: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks to race of those named; beside all of them that of ``make demo``."""
    networks = tuple(NETWORKS[name] for name in MEASURED if name in names)
    return (*networks, DIGITS) if len(networks) == len(MEASURED) else networks


def runners(network: Network, threads: int, folder: Path) -> Iterator[Runner]:
    """Give a runner for each of the five files; the dense one in fp32 is the reference.

    Args:
        network: The network.
        threads: Thread count that the files are planned for.
        folder: Where to keep them.
    """
    folder = folder / network.name / f"precision-{threads}"
    make = cache(lambda: _make(network, threads, folder))
    for label, limit in LIMITS.items():
        yield Runner(label, _file(make, folder / FILES[label]), largest_error_ratio=limit)


def _file(make: Callable[[], None], path: Path) -> Callable[[], Path]:
    def find() -> Path:
        if not path.exists():
            make()
        return path

    return find


def _make(network: Network, threads: int, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "benchmarks.precision_side", json.dumps(asdict(network))]
    done = subprocess.run(  # noqa: S603
        [*command, str(threads), str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CheckFailed(
            f"making the files of {network.title}",
            received=done.stderr.strip() or f"exit code {done.returncode}",
        )

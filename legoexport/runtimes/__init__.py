"""Runtimes by name: where else than in this process a file can be run, for a check or a figure.

A runtime is a module with ``make(variant, threads) -> Runtime`` and one line in ``MODULES``. The
module is imported when its name is asked for, so that listing the names loads nothing.
"""

from __future__ import annotations

import importlib

from legoexport.errors import UsageError
from legoexport.runtimes.base import Feed, PlacedNode, Replay, Runtime

__all__ = ["HERE", "MODULES", "Feed", "PlacedNode", "Replay", "Runtime", "find_runtime"]

HERE = "cpu"  # in this process
MODULES = {
    "cpu": "legoexport.runtimes.cpu",
    "wasm": "legoexport.runtimes.web.wasm",
    "xnnpack": "legoexport.runtimes.web.xnnpack",
}


def find_runtime(text: str, threads: int = 1) -> Runtime:
    """Return the runtime that ``text`` names: ``name``, or ``name:variant``.

    Args:
        text: Such as ``xnnpack``. What a variant may be is up to the runtime.
        threads: Intra-op threads of ONNX Runtime.

    Raises:
        UsageError: There is no runtime or variant of that name, or it does not take that many
            threads. Whether it is installed shows when it runs.
    """
    name, _, variant = text.partition(":")
    if name not in MODULES:
        raise UsageError("unknown runtime", received=text, legal=", ".join(MODULES))
    made: Runtime = importlib.import_module(MODULES[name]).make(variant or None, threads)
    return made


def refuse_variant(name: str, variant: str | None) -> None:
    """Hold that a runtime without variants was asked for none.

    Raises:
        UsageError: It was.
    """
    if variant is not None:
        raise UsageError(f"runtime {name} has no variants", received=variant, legal=name)

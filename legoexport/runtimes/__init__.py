"""Runtimes by name: where a file can be run outside this process, for a check or a measurement.

A runtime is a module with ``make(variant, threads) -> Runtime`` and one line in ``MODULES``; one
that comes in several versions, or stands for several runtimes, has ``make_all(variant, threads,
version) -> tuple of Runtime`` instead. The module is imported when its name is asked for, so that
listing the names loads nothing.
"""

from __future__ import annotations

import importlib

from legoexport.errors import UsageError
from legoexport.runtimes.base import Feed, PlacedNode, Replay, Runtime

__all__ = [
    "HERE",
    "MODULES",
    "Feed",
    "PlacedNode",
    "Replay",
    "Runtime",
    "find_runtime",
    "find_runtimes",
]

HERE = "cpu"  # in this process
MODULES = {
    "cpu": "legoexport.runtimes.cpu",
    "wasm": "legoexport.runtimes.web.wasm",
    "xnnpack": "legoexport.runtimes.web.xnnpack",
    "arm64": "legoexport.runtimes.arm64.runtime",
}


def find_runtime(text: str, threads: int = 1) -> Runtime:
    """Return the runtime that ``text`` names: ``name``, or ``name:variant``.

    Args:
        text: A name such as ``xnnpack``. Each runtime has its own variants.
        threads: Intra-op threads of ONNX Runtime.

    Raises:
        UsageError: There is no runtime or variant of that name, or it does not take that many
            threads. Whether it is installed shows when it runs.
    """
    found = find_runtimes(text, threads)
    if len(found) > 1:
        legal = " ".join(one.name for one in found)
        raise UsageError("several runtimes where one is needed", received=text, legal=legal)
    return found[0]


def find_runtimes(text: str, threads: int = 1, version: str | None = None) -> tuple[Runtime, ...]:
    """Return every runtime that ``text`` stands for; ``arm64`` is one for each processor.

    Args:
        text: As for ``find_runtime``.
        threads: Intra-op threads of ONNX Runtime.
        version: Version of ONNX Runtime; None for the runtime's own, or the one installed here.

    Raises:
        UsageError: As for ``find_runtime``, or the runtime comes in one version.
    """
    name, _, variant = text.partition(":")
    if name not in MODULES:
        raise UsageError.unknown("runtime", name, MODULES)
    module = importlib.import_module(MODULES[name])
    if hasattr(module, "make_all"):
        several: tuple[Runtime, ...] = module.make_all(variant or None, threads, version)
        return several
    if version is not None:
        problem = f"runtime {name} comes in one version"
        raise UsageError(problem, received=f"--runtime-version {version}", legal="none")
    made: Runtime = module.make(variant or None, threads)
    return (made,)


def refuse_variant(name: str, variant: str | None) -> None:
    """Check that no variant was asked for.

    Raises:
        UsageError: One was.
    """
    if variant is not None:
        raise UsageError(f"runtime {name} has no variants", received=variant, legal=name)

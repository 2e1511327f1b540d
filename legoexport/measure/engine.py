"""Which process runs the models that are measured, and on what."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from legoexport.errors import UsageError
from legoexport.measure.options import BenchOptions
from legoexport.ort.client import COMMAND
from legoexport.ort.providers import find_provider
from legoexport.runtimes import HERE, find_runtimes
from legoexport.runtimes.base import Engine, Timed


def find_engine(path: Path, options: BenchOptions) -> Engine:
    """Return what it takes to measure the model at ``path``.

    Raises:
        UsageError: The runtime or the provider is missing, does not take the model, or is emulated,
            so that its times mean nothing.
    """
    if options.runtime == HERE:
        provider = find_provider(options.provider)
        return Engine(COMMAND, provider, provider, f"onnxruntime {onnxruntime.__version__}")
    runtime, *others = find_runtimes(options.runtime, options.threads)
    if others or not isinstance(runtime, Timed):
        raise UsageError(
            "this runtime shows whether a file is right, not how fast it is",
            received=f"--runtime {options.runtime}",
            next_step=f"check the file with legoexport verify --runtime {options.runtime}",
        )
    return runtime.engine(path)

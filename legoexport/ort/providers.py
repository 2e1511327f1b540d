"""Execution providers by name, and whether one really ran the model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnxruntime

from legoexport.errors import CheckFailed, UsageError
from legoexport.ort.nodes import Placement


def short_name(provider: str) -> str:
    """Return the short name, such as ``cpu`` for ``CPUExecutionProvider``."""
    return provider.lower().removesuffix("executionprovider")


def find_provider(name: str) -> str:
    """Return ONNX Runtime's name for the provider called ``name``, such as ``xnnpack``.

    Raises:
        UsageError: There is no such provider, or this build of ONNX Runtime lacks it.
    """
    names: list[str] = onnxruntime.get_available_providers()
    available = {short_name(full): full for full in names}
    every = sorted(map(short_name, onnxruntime.get_all_providers()))
    if short_name(name) not in every:
        raise UsageError.unknown("execution provider", name, every)
    if short_name(name) not in available:
        raise UsageError(
            f"this onnxruntime ({onnxruntime.__version__}) lacks the provider",
            received=name,
            legal=", ".join(sorted(available)),
            next_step="install a build of onnxruntime that has it",
        )
    return available[short_name(name)]


def check_placement(path: Path, provider: str, placement: Sequence[Placement]) -> None:
    """Check that something ran on the provider that was asked for.

    Raises:
        CheckFailed: No node ran on ``provider``, so another one was measured.
    """
    ran_on = sorted({part.provider for part in placement})
    if provider not in ran_on:
        raise CheckFailed(
            f"no node of {path} runs on {short_name(provider)}",
            received=f"all of them on {', '.join(map(short_name, ran_on))}",
            next_step=f"measure it with --provider {short_name(ran_on[0])}" if ran_on else None,
        )

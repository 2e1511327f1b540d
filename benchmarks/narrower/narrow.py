"""Hide wide registers from the processes that are measured, so that they take narrower kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from legoexport.errors import UsageError

SOURCE = Path(__file__).with_name("narrow.c")
# What a level ends at, as numpy calls it, and what it no longer has: that the next level has.
LEVELS = {"avx2": "AVX2", "avx": "AVX", "sse": "SSE42"}
WIDER = {"avx2": "AVX512F", "avx": "AVX2", "sse": "AVX"}
# numpy asks CPUID itself, when it is imported.
QUESTION = "from numpy._core._multiarray_umath import __cpu_features__ as has; print(has)"


def environment_up_to(level: str, build: Path) -> Mapping[str, str]:
    """Return the variables that make new processes see nothing wider than ``level``, once tried.

    Args:
        level: One of ``LEVELS``.
        build: Folder for the compiled library.

    Raises:
        UsageError: There is nothing wider here, or it cannot be hidden: no C compiler, a system
            other than Linux on x86-64, or a processor whose CPUID does not fault.
    """
    if not _has(WIDER[level], {}):
        raise UsageError(f"--up-to {level}: this processor has nothing wider")
    environment = {"LD_PRELOAD": str(_compiled(build)), "NARROW_TO": level}
    if _has(WIDER[level], environment) or not _has(LEVELS[level], environment):
        raise UsageError(
            f"--up-to {level}: what is wider cannot be hidden",
            legal="Linux on x86-64 with cpuid_fault among the flags in /proc/cpuinfo",
        )
    return environment


def _has(feature: str, environment: Mapping[str, str]) -> bool:
    command = [sys.executable, "-c", QUESTION]
    variables = {**os.environ, **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)  # noqa: S603
    return f"'{feature}': True" in done.stdout


def _compiled(build: Path) -> Path:
    build.mkdir(parents=True, exist_ok=True)
    library = build / "narrow.so"
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise UsageError("--up-to needs a C compiler", received=str(error)) from None
    if done.returncode:
        raise UsageError(f"{SOURCE.name} does not compile", received=done.stderr.strip())
    return library

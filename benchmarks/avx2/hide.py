"""Hide AVX-512 from the processes that are measured, so that they take their AVX2 kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from legoexport.errors import UsageError

SOURCE = Path(__file__).with_name("hide_avx512.c")
# Follows the processor's name in records, which keeps their tables apart.
HIDDEN = "AVX-512 hidden"
# numpy asks CPUID itself, when it is imported.
QUESTION = (
    "from numpy._core._multiarray_umath import __cpu_features__ as has;"
    "print(int(has.get('AVX512F', False)), int(has.get('AVX2', False)))"
)
BOTH, AVX2_ONLY = "1 1", "0 1"


def environment_without_avx512(build: Path) -> Mapping[str, str]:
    """Return the variables that make new processes see no AVX-512, after trying them.

    Args:
        build: Folder for the compiled library.

    Raises:
        UsageError: There is no AVX-512 here, or it cannot be hidden: no C compiler, a system other
            than Linux on x86-64, or a processor whose CPUID does not fault.
    """
    if _seen({}) != BOTH:
        raise UsageError("--hide-avx512: this processor has none", next_step="leave the option out")
    environment = {"LD_PRELOAD": str(_compiled(build))}
    if _seen(environment) != AVX2_ONLY:
        raise UsageError(
            "--hide-avx512: processes see AVX-512 all the same",
            legal="Linux on x86-64 with cpuid_fault among the flags in /proc/cpuinfo",
        )
    return environment


def _seen(environment: Mapping[str, str]) -> str:
    command = [sys.executable, "-c", QUESTION]
    variables = {**os.environ, **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()


def _compiled(build: Path) -> Path:
    build.mkdir(parents=True, exist_ok=True)
    library = build / "hide_avx512.so"
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise UsageError("--hide-avx512 needs a C compiler", received=str(error)) from None
    if done.returncode:
        raise UsageError(
            "--hide-avx512: the library does not compile", received=done.stderr.strip()
        )
    return library

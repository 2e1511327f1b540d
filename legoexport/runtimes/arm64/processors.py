"""The arm64 processors that files are tried on, and whether this machine is one itself."""

from __future__ import annotations

import platform

from legoexport.errors import UsageError

# NEON alone, as in a phone of 2016; half precision and dot products, as in one of 2018; and all of
# qemu 10.0, SVE2 and SME among it, which sends ONNX Runtime to KleidiAI's kernels.
EMULATED = ("cortex-a72", "neoverse-n1", "max")
# The same without SME: whether what is wrong on max is wrong because of SME.
WITHOUT_SME = "max,sme=off"
LEGAL = (*EMULATED, WITHOUT_SME)
ARM64_MACHINES = ("aarch64", "arm64")


def check_processor(name: str) -> str:
    """Return ``name`` if qemu is to emulate a processor of that name.

    Raises:
        UsageError: It is not one of ``LEGAL``.
    """
    if name not in LEGAL:
        legal = (f"arm64:{one}" for one in LEGAL)
        raise UsageError.unknown("arm64 processor", f"arm64:{name}", legal)
    return name


def is_arm64() -> bool:
    """Whether this machine runs arm64 code by itself."""
    return platform.machine() in ARM64_MACHINES

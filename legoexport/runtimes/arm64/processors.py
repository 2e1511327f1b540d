"""The arm64 processors that files are tried on, and whether this machine is one itself."""

from __future__ import annotations

import platform

from legoexport.errors import UsageError

# A phone of 2016 (NEON alone), a server or phone of 2019 (half precision, dot products), and all
# that qemu knows: SVE2, I8MM, BF16 and SME2, which send ONNX Runtime to KleidiAI's kernels.
EMULATED = ("cortex-a72", "neoverse-n1", "max")
# The same without SME: whether what is wrong on max is wrong because of SME.
WITHOUT_SME = "max,sme=off"
LEGAL = (*EMULATED, WITHOUT_SME)
ARM64_MACHINES = ("aarch64", "arm64")


def check_processor(name: str) -> str:
    """Return ``name`` if qemu is to emulate a processor of that name.

    Raises:
        UsageError: It is none of ``LEGAL``.
    """
    if name not in LEGAL:
        legal = " ".join(f"arm64:{one}" for one in LEGAL)
        raise UsageError("unknown arm64 processor", received=name, legal=legal)
    return name


def is_arm64() -> bool:
    """Whether this machine runs arm64 code by itself."""
    return platform.machine() in ARM64_MACHINES

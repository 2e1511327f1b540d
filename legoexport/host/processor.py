"""What this machine's processor has for sums of eight-bit products, and which target follows."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict, dataclass
from typing import Any

from legoexport.host.system import CPU_INFO, sysctl, told_in

FLAG_LINES = ("flags", "Features")
X86 = ("x86_64", "amd64", "i686", "i386")
ARM = ("aarch64", "arm64")
# What the system calls an extension, and what its maker does.
X86_NAMES = {"avx512_vnni": "AVX512-VNNI", "avx_vnni": "AVX-VNNI"}
ARM_NAMES = {"asimddp": "dot product", "i8mm": "i8mm"}
MAC_X86 = {"AVX512VNNI": "avx512_vnni", "AVX_VNNI": "avx_vnni"}
MAC_ARM = {"hw.optional.arm.FEAT_DotProd": "asimddp", "hw.optional.arm.FEAT_I8MM": "i8mm"}


@dataclass(frozen=True)
class Processor:
    """The instructions of a processor that int8 depends on.

    Attributes:
        architecture: Instruction set, such as ``x86_64`` or ``aarch64``.
        extensions: Those that sum products of eight bits in 32, by their makers' names; None if
            the system does not tell.
    """

    architecture: str
    extensions: tuple[str, ...] | None

    @property
    def is_x86(self) -> bool:
        """Whether it is of the family where the sums of 16 bits overflow without VNNI."""
        return self.architecture.lower() in X86

    @property
    def lacks_vnni(self) -> bool:
        """Whether it is known to give wrong sums for codes of all 8 bits."""
        return self.is_x86 and self.extensions == ()

    @property
    def target(self) -> str | None:
        """The target that fits files in int8 for it; None if none of ours does."""
        if self.is_x86:
            return "cpu-vnni" if self.extensions else "cpu"
        return "arm64" if self.architecture.lower() in ARM else None

    def __str__(self) -> str:
        wanted = "VNNI" if self.is_x86 else "dot product or i8mm"
        if self.extensions is None:
            has = f"the system does not tell whether it has {wanted}"
        else:
            has = ", ".join(self.extensions) or f"no {wanted}"
        return has if self.target is None else f"{has}; --target {self.target} fits"

    def to_json(self) -> dict[str, Any]:
        """Return the attributes under their own names, and the target."""
        return asdict(self) | {"target": self.target}


def this_processor() -> Processor:
    """Ask the operating system."""
    architecture = platform.machine()
    flags = _flags()
    names = ARM_NAMES if architecture.lower() in ARM else X86_NAMES
    if flags is None or architecture.lower() not in (*X86, *ARM):
        return Processor(architecture, None)
    return Processor(architecture, tuple(name for flag, name in names.items() if flag in flags))


def _flags() -> frozenset[str] | None:
    if sys.platform == "darwin":
        return _mac_flags()
    lines = told_in(CPU_INFO).splitlines()
    named = [line for line in lines if line.partition(":")[0].strip() in FLAG_LINES]
    # Cores may differ: an extension is there if all of them have it.
    sets = [frozenset(line.partition(":")[2].split()) for line in named]
    return frozenset.intersection(*sets) if sets else None


def _mac_flags() -> frozenset[str] | None:
    told = sysctl("machdep.cpu.leaf7_features").split()
    found = {flag for name, flag in MAC_X86.items() if name in told}
    return frozenset(found | {flag for name, flag in MAC_ARM.items() if sysctl(name) == "1"})

"""The machine a measurement was taken on, and the versions that took it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import psutil

from legoexport.host.system import CPU_INFO, sysctl, told_in
from legoexport.version import __version__

BOARD = Path("/proc/device-tree/model")
TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


@dataclass(frozen=True)
class Machine:
    """Hardware and software that a latency depends on.

    Attributes:
        cpu_model: The processor's name in the operating system.
        architecture: Instruction set, such as ``x86_64`` or ``aarch64``.
        logical_cores: Hardware threads that this process may use.
        physical_cores: Cores behind them, or None if the system does not say.
        memory_bytes: Main memory.
        os: Name and release of the operating system.
        python: Version of the interpreter.
        onnxruntime: Version of ONNX Runtime.
        legoexport: Version of this package.
    """

    cpu_model: str
    architecture: str
    logical_cores: int
    physical_cores: int | None
    memory_bytes: int
    os: str
    python: str
    onnxruntime: str
    legoexport: str

    @property
    def default_threads(self) -> int:
        """One thread a core: two threads of one core share its multiply-add units."""
        return self.physical_cores or self.logical_cores

    def to_json(self) -> dict[str, Any]:
        """Return the attributes under their own names."""
        return asdict(self)


def describe() -> Machine:
    """Describe the machine that this process runs on."""
    usable = usable_processors()
    return Machine(
        cpu_model=_cpu_model(),
        architecture=platform.machine(),
        logical_cores=len(usable),
        physical_cores=_physical_cores(usable),
        memory_bytes=psutil.virtual_memory().total,
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        # Not from package metadata: builds with other providers have other package names.
        onnxruntime=str(onnxruntime.__version__),
        legoexport=__version__,
    )


def usable_processors() -> tuple[int, ...]:
    """Return the numbers of the hardware threads that this process may run on, at least one.

    A container or taskset may allow fewer than the machine has. macOS has no such limits, and
    psutil has no ``cpu_affinity`` there.
    """
    process = psutil.Process()
    if hasattr(process, "cpu_affinity"):
        return tuple(sorted(process.cpu_affinity()))
    return tuple(range(os.cpu_count() or 1))


def _physical_cores(usable: Collection[int]) -> int | None:
    # psutil counts the cores of the whole machine, whichever of them this process may use.
    siblings = {told_in(Path(TOPOLOGY.format(cpu))) for cpu in usable}
    if "" not in siblings:
        return len(siblings)
    return psutil.cpu_count(logical=False) if len(usable) == psutil.cpu_count() else None


def _cpu_model() -> str:
    # psutil does not know what a processor is called.
    named = [line for line in told_in(CPU_INFO).splitlines() if line.startswith("model name")]
    candidates = (
        named[0].partition(":")[2].strip() if named else "",
        sysctl("machdep.cpu.brand_string") if sys.platform == "darwin" else "",
        told_in(BOARD).strip("\0"),  # Linux on arm64 names the board, not the processor
        platform.processor(),
    )
    return next(filter(None, candidates), "unknown")

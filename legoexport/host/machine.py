"""The machine a measurement was taken on, and the versions that took it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnxruntime

from legoexport.version import __version__

CPU_INFO = Path("/proc/cpuinfo")
BOARD = Path("/proc/device-tree/model")
TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


@dataclass(frozen=True)
class Machine:
    """Hardware and software that a latency depends on.

    Attributes:
        cpu_model: As the operating system names it.
        architecture: Such as ``x86_64`` or ``aarch64``.
        logical_cores: Hardware threads that this process may use.
        physical_cores: Cores behind them, or None where the system does not say.
        memory_bytes: Main memory, or None where the system does not say.
        os: Name and release of the operating system.
        python: Version of the interpreter.
        onnxruntime: Version of ONNX Runtime.
        legoexport: Version of this package.
    """

    cpu_model: str
    architecture: str
    logical_cores: int
    physical_cores: int | None
    memory_bytes: int | None
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
    usable = _usable_cpus()
    return Machine(
        cpu_model=_cpu_model(),
        architecture=platform.machine(),
        logical_cores=len(usable),
        physical_cores=_physical_cores(usable),
        memory_bytes=_memory_bytes(),
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        # Not from package metadata: builds with other providers have other package names.
        onnxruntime=str(onnxruntime.__version__),
        legoexport=__version__,
    )


def _usable_cpus() -> list[int]:
    # A container or taskset may leave fewer than os.cpu_count() says.
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _physical_cores(usable: list[int]) -> int | None:
    if sys.platform == "darwin":
        count = _sysctl("hw.physicalcpu")
        return int(count) if count else None
    siblings = {_read(Path(TOPOLOGY.format(cpu))) for cpu in usable}
    return None if "" in siblings else len(siblings)


def _cpu_model() -> str:
    named = [line for line in _read(CPU_INFO).splitlines() if line.startswith("model name")]
    candidates = (
        named[0].partition(":")[2].strip() if named else "",
        _sysctl("machdep.cpu.brand_string") if sys.platform == "darwin" else "",
        _read(BOARD).strip("\0"),  # Linux on arm64 names the board, not the processor
        platform.processor(),
    )
    return next(filter(None, candidates), "unknown")


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # the names differ between systems
        return None


def _sysctl(name: str) -> str:
    command = ["/usr/sbin/sysctl", "-n", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""

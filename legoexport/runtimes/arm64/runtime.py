"""Runtimes ``arm64:PROCESSOR``, emulated, and ``arm64`` on a machine that is one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from legoexport.host.progress import Progress
from legoexport.ort.client import WORKER as BENCH_WORKER
from legoexport.runtimes.arm64 import processors
from legoexport.runtimes.arm64.debian import arm64_root, python_of
from legoexport.runtimes.arm64.process import Place, replay
from legoexport.runtimes.arm64.qemu import find_qemu
from legoexport.runtimes.arm64.wheels import default_version, wheels
from legoexport.runtimes.base import Engine, Feed, Replay

WORKER = Path(__file__).with_name("worker.py")
PROVIDER = "CPUExecutionProvider"
# -s -P: neither the user's own packages nor what lies beside the worker.
ISOLATED = ("-s", "-P")


@dataclass(frozen=True)
class EmulatedArm64:
    """ONNX Runtime for arm64 on a processor that qemu emulates; its times mean nothing.

    Attributes:
        processor: One of ``processors.LEGAL``.
        version: Version of ONNX Runtime.
        threads: Intra-op threads.
    """

    processor: str
    version: str
    threads: int

    @property
    def name(self) -> str:
        """The name, such as ``arm64:cortex-a72``."""
        return f"arm64:{self.processor}"

    def prepare(self, tell: Progress) -> None:
        """Build what is needed to run, once for all models.

        Raises:
            UsageError: qemu, Debian's packages or the wheels are missing.
        """
        find_qemu()
        tell("unpacking a small arm64 Debian, once")
        root = arm64_root()
        tell(f"fetching ONNX Runtime {self.version} for arm64, once")
        wheels(self.version, python_of(root)[1])

    def run(self, model_bytes: bytes, feeds: Sequence[Feed]) -> Replay:
        """Run the model on every feed, as ``Runtime.run`` says; placement is left out.

        Raises:
            UsageError: Something is not installed, or ONNX Runtime does not load the model.
            CheckFailed: ONNX Runtime fails, or the processor stops it.
        """
        qemu, qemu_version = find_qemu()
        root = arm64_root()
        python, python_version = python_of(root)
        emulated = (qemu, "-cpu", self.processor, "-L", str(root), str(python))
        command = (*emulated, *ISOLATED, str(WORKER))
        processor = f"{self.processor} under qemu {qemu_version}"
        place = Place(command, wheels(self.version, python_version), processor)
        return replay(place, self.threads, model_bytes, feeds)


@dataclass(frozen=True)
class NativeArm64:
    """ONNX Runtime of any version on this machine, which is an arm64 one.

    Attributes:
        version: Version of ONNX Runtime.
        threads: Intra-op threads.
    """

    version: str
    threads: int
    name: str = "arm64"

    def prepare(self, tell: Progress) -> None:
        """Fetch the wheels.

        Raises:
            UsageError: There is no such version.
        """
        tell(f"fetching ONNX Runtime {self.version}, once")
        wheels(self.version, None)

    def run(self, model_bytes: bytes, feeds: Sequence[Feed]) -> Replay:
        """Run the model on every feed, as ``Runtime.run`` says; placement is left out."""
        command = (sys.executable, *ISOLATED, str(WORKER))
        place = Place(command, wheels(self.version, None), "this machine")
        return replay(place, self.threads, model_bytes, feeds)

    def engine(self, path: Path) -> Engine:
        """Return what it takes to measure a model here, as ``Timed.engine`` says."""
        del path
        environment = f"PYTHONPATH={wheels(self.version, None)}"
        command = ("env", environment, sys.executable, *ISOLATED, str(BENCH_WORKER))
        return Engine(command, PROVIDER, PROVIDER, f"onnxruntime {self.version} on this machine")


def make_all(variant: str | None, threads: int, version: str | None) -> tuple[Arm64, ...]:
    """Return the runtimes that ``arm64`` or ``arm64:PROCESSOR`` means on this machine.

    Raises:
        UsageError: There is no such processor.
    """
    chosen = version or default_version()
    if variant is None and processors.is_arm64():
        return (NativeArm64(chosen, threads),)
    names = processors.EMULATED if variant is None else (processors.check_processor(variant),)
    return tuple(EmulatedArm64(name, chosen, threads) for name in names)


Arm64 = EmulatedArm64 | NativeArm64

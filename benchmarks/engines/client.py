"""The parent's side of a worker: it starts, says what it is, is asked, and always ends."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from benchmarks.engines.engines import Engine
from benchmarks.engines.models import Case
from benchmarks.files import ROOT
from legoexport.errors import CheckFailed

WORKER = Path(__file__).parent / "worker.py"
LONGEST_S = 300
# One thread, whatever an engine takes its threads from.
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TVM_NUM_THREADS": "1"}


@dataclass
class Client:
    """One worker with one file.

    Attributes:
        process: The worker; its stdin and stdout are pipes of text.
        version: What the engine calls itself; empty if it could not be imported.
        message: What it says against the file; empty if it has run.
    """

    process: subprocess.Popen[str]
    version: str = ""
    message: str = ""

    def wait(self) -> None:
        """Wait for what the worker says by itself: what it is, and whether the file runs."""
        said = _answer(self.process)
        if "version" in said:
            self.version, said = said["version"], _answer(self.process)
        self.message = said["message"]

    def measure_ms(self, duration_s: float) -> list[float]:
        """Return the latencies of the runs that fit into ``duration_s``; at least one.

        Raises:
            CheckFailed: The worker has ended.
        """
        requests = cast("IO[str]", self.process.stdin)
        with contextlib.suppress(BrokenPipeError):
            requests.write(f"{duration_s}\n")
            requests.flush()
        answer = _answer(self.process)
        if "message" in answer:
            raise CheckFailed("an engine ends while it is timed", received=answer["message"])
        return list(answer["latencies_ms"])


@contextlib.contextmanager
def start(engine: Engine, python: Path, case: Case, output: Path) -> Iterator[Client]:
    """Give ``engine`` the file of ``case``; its scores lie at ``output`` once it has run."""
    output.unlink(missing_ok=True)
    command = [str(python), "-P", str(WORKER), str(engine.adapter_path), str(case.path)]
    command += [str(case.images), "--out", str(output)]
    process = subprocess.Popen(  # noqa: S603 - our own worker
        command,
        env={
            **os.environ,
            **ENVIRONMENT,
            "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield Client(process)
    finally:
        process.kill()
        process.communicate()


def _expire(expired: threading.Event, process: subprocess.Popen[str]) -> None:
    expired.set()
    process.kill()


def _answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Read one answer; a worker that ends or never answers says so in a message."""
    expired = threading.Event()
    timer = threading.Timer(LONGEST_S, _expire, [expired, process])
    timer.daemon = True
    timer.start()
    line = cast("IO[str]", process.stdout).readline()
    timer.cancel()
    if line:
        answer: dict[str, Any] = json.loads(line)
        return answer
    if expired.is_set():
        return {"message": f"it did not end within {LONGEST_S} s"}
    code = process.wait()
    cause = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    return {"message": f"the process ended {cause}"}

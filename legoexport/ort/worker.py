"""One model in a process of its own, told what to do by lines of JSON.

A request is ``{"do": NAME, ...arguments}`` on stdin; the answer is ``{"done": {...}}`` or
``{"failed": MESSAGE}`` on stdout. Two ONNX Runtime sessions in one process would spin against each
other and share an arena, so that neither latency nor memory would be the model's own.

This file imports nothing of legoexport: the memory measured is the runtime's and the model's.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import psutil

XNNPACK = "XnnpackExecutionProvider"
CPU = "CPUExecutionProvider"
SILENT_BUT_FOR_ERRORS = 3
SEED = 0
STATUS = Path("/proc/self/status")


class Worker:
    """Answers requests about one model."""

    def __init__(self) -> None:
        self._session: Any = None
        self._load: dict[str, Any] = {}
        self._feeds: dict[str, Any] = {}

    def load(self, **settings: Any) -> dict[str, Any]:
        """Create the session, and time it (ms): read the file, optimize, pack the weights."""
        self._load = settings
        before_bytes = resident_bytes()
        start = time.perf_counter()
        self._session = _create_session(_session_options(**settings), **settings)
        session_ms = (time.perf_counter() - start) * 1e3
        after_bytes = resident_bytes()
        inputs = [[value.name, value.type, value.shape] for value in self._session.get_inputs()]
        sizes = {"before_bytes": before_bytes, "after_bytes": after_bytes}
        return {"session_ms": session_ms, "inputs": inputs, **sizes}

    def feed(self, inputs: list[tuple[str, str, list[int]]]) -> dict[str, Any]:
        """Make inputs of name, type and shape: standard normal, but zeros where integers index."""
        rng = np.random.default_rng(SEED)
        for name, dtype, shape in inputs:
            drawn = rng.standard_normal(shape) * (np.dtype(dtype).kind == "f")
            self._feeds[name] = drawn.astype(dtype)
        return {}

    def measure(self, duration_s: float) -> dict[str, Any]:
        """Return latencies (ms) of single runs over ``duration_s``; at least one.

        One run before them is not counted: it wakes the threads and fills the caches again.
        """
        self._run_ms()
        latencies_ms: list[float] = []
        deadline = time.perf_counter() + duration_s
        while not latencies_ms or time.perf_counter() < deadline:
            latencies_ms.append(self._run_ms())
        return {"latencies_ms": latencies_ms}

    def save_output(self, path: str) -> dict[str, Any]:
        """Write the first output for the inputs that were fed, as an ``.npy`` file."""
        np.save(path, self._session.run(None, self._feeds)[0])
        return {}

    def memory(self) -> dict[str, Any]:
        """Return the most memory (bytes) this process has held so far."""
        return {"peak_bytes": peak_bytes()}

    def profile(self, folder: str, runs_count: int) -> dict[str, Any]:
        """Profile in ``folder``, in a session that replaces the first; the first run warms up.

        On the CPU provider the graph as ONNX Runtime runs it is left there too, since the profile
        alone does not say between which nodes a layout is changed.
        """
        self._session = None
        gc.collect()
        options = _session_options(**self._load)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        graph = Path(folder, "graph.onnx")
        if self._load["provider"] == CPU:  # others may hold compiled nodes, which cannot be saved
            options.optimized_model_filepath = str(graph)
        self._session = _create_session(options, **self._load)
        for _ in range(runs_count + 1):
            self._run_ms()
        profile = self._session.end_profiling()
        return {"profile": profile, "graph": str(graph) if graph.exists() else None}

    def _run_ms(self) -> float:
        start = time.perf_counter()
        self._session.run(None, self._feeds)
        return (time.perf_counter() - start) * 1e3


def _session_options(*, threads: int, provider: str, **_: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = SILENT_BUT_FOR_ERRORS
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads spin inside a run, as they do by default, and stop when it ends: an idle worker would
    # otherwise take cores from the one being measured.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    if provider == XNNPACK:  # brings threads of its own, which spinning ones would starve
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _create_session(options: Any, *, path: str, threads: int, provider: str) -> Any:
    settings = {"intra_op_num_threads": str(threads)} if provider == XNNPACK else {}
    providers = [(provider, settings), *([] if provider == CPU else [(CPU, {})])]
    return onnxruntime.InferenceSession(
        _source(path), options, providers=providers, enable_fallback=0
    )


def _source(path: str) -> str | bytes:
    """ONNX Runtime takes names as UTF-8; Python has them as the locale says, such as LANG=C."""
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError:
        return Path(path).read_bytes()


def resident_bytes() -> int:
    """Return the memory that this process holds now."""
    return psutil.Process().memory_info().rss


def peak_bytes() -> int:
    """Return the most memory that this process has held so far, which psutil does not tell."""
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        # Not on Linux, where ru_maxrss of a new process starts at its parent's memory.
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def serve(worker: Worker) -> None:
    """Let ``worker`` answer until stdin closes, which it does however the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the parent decides
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"done": getattr(worker, request.pop("do"))(**request)}
        except Exception as error:  # the parent explains it, whatever it is
            answer = {"failed": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(Worker())

"""A worker process for a runtime that is not ONNX Runtime.

    python benchmarks/workers/serve.py mnn|openvino

speaks the protocol of ``legoexport/ort/worker.py``; loading takes the shape of the input too,
for both runtimes prepare themselves for one.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import Any

from legoexport.ort.worker import Worker, resident_bytes, serve


class OtherWorker(Worker):
    """Answers requests about one model in another runtime.

    Args:
        runtime: Name of a module of ``benchmarks.workers`` with ``create_session``.
    """

    def __init__(self, runtime: str) -> None:
        super().__init__()
        self._runtime = runtime

    def load(self, **settings: Any) -> dict[str, Any]:
        """Create the session, and time it (ms): ``path``, ``threads`` and ``shape`` are needed."""
        # Here and not before: a library may print while it is imported, and stdout is for answers.
        create = import_module(f"benchmarks.workers.{self._runtime}").create_session
        before_bytes = resident_bytes()
        start = time.perf_counter()
        self._session = create(settings["path"], settings["threads"], settings["shape"])
        session_ms = (time.perf_counter() - start) * 1e3
        sizes = {"before_bytes": before_bytes, "after_bytes": resident_bytes()}
        return {"session_ms": session_ms, **sizes}


if __name__ == "__main__":
    serve(OtherWorker(sys.argv[1]))

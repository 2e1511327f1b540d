"""Times one model in a process of its own, and says what its runs took as JSON.

    python layer.py MODEL --threads 1 --seconds 0.2

It imports ONNX Runtime and NumPy alone, so that hundreds of processes start in little time. Two
sessions in one process would spin against each other.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np
import onnxruntime

SEED = 0
LEAST_RUNS_COUNT = 5
ERRORS_ONLY = 3


def main() -> None:
    """Print the times of the runs (ms): how many, the median, and the least."""
    parser = argparse.ArgumentParser(description="Time one model.")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.2)
    arguments = parser.parse_args()
    runs_ms = _runs_ms(arguments.model, arguments.threads, arguments.seconds)
    median, least = float(np.median(runs_ms)), min(runs_ms)
    content = {"runs_count": len(runs_ms), "latency_ms": median, "least_ms": least}
    json.dump(content, sys.stdout)


def _runs_ms(path: str, threads: int, duration_s: float) -> list[float]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = ERRORS_ONLY
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (entering,) = session.get_inputs()
    shape = [size if isinstance(size, int) else 1 for size in entering.shape]
    rng = np.random.default_rng(SEED)
    x = (
        rng.integers(0, 256, shape).astype(np.uint8)
        if entering.type == "tensor(uint8)"
        else rng.standard_normal(shape).astype(np.float32)
    )
    taken_ms: list[float] = []
    session.run(None, {entering.name: x})
    end = time.perf_counter() + duration_s
    while time.perf_counter() < end or len(taken_ms) < LEAST_RUNS_COUNT:
        start = time.perf_counter()
        session.run(None, {entering.name: x})
        taken_ms.append(1e3 * (time.perf_counter() - start))
    return taken_ms


if __name__ == "__main__":
    main()

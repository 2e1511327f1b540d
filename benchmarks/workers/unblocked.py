"""Runs a model in ONNX Runtime without its blocked layout, which only x86 has."""

from __future__ import annotations

from collections.abc import Sequence

import onnxruntime


def create_session(path: str, threads: int, shape: Sequence[int]) -> onnxruntime.InferenceSession:
    """Load ``path`` with every optimization but those of layout; ``shape`` needs no preparing."""
    del shape
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

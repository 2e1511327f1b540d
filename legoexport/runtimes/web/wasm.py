"""Runtime ``wasm``: ONNX Runtime's CPU provider as WebAssembly, the kernels of a browser."""

from __future__ import annotations

from legoexport.runtimes.web import runtime


def make(variant: str | None, threads: int) -> runtime.WebRuntime:
    """Return the runtime; it has one thread and no variants."""
    return runtime.make("wasm", "CPUExecutionProvider", variant, threads)

"""Runtime ``wasm``: ONNX Runtime's CPU provider as WebAssembly, the kernels of a browser."""

from __future__ import annotations

from legoexport.runtimes.web.runtime import WebRuntime, check_plain


def make(variant: str | None, threads: int) -> WebRuntime:
    """Return the runtime; it has one thread and no variants."""
    check_plain("wasm", variant, threads)
    return WebRuntime("wasm", "CPUExecutionProvider", rounding_growth=1.0)

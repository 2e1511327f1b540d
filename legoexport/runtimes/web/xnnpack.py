"""Runtime ``xnnpack``: the XNNPACK execution provider as WebAssembly, the kernels of a phone."""

from __future__ import annotations

from legoexport.runtimes.web import runtime


def make(variant: str | None, threads: int) -> runtime.WebRuntime:
    """Return the runtime; it has one thread and no variants."""
    return runtime.make("xnnpack", "XnnpackExecutionProvider", variant, threads)

"""Runtime ``xnnpack``: the XNNPACK execution provider as WebAssembly, the kernels of a phone."""

from __future__ import annotations

from legoexport.runtimes.web.runtime import WebRuntime, check_plain

# XNNPACK adds the products of an output one by one into one number. For the 4608 of the longest
# sums in VGG16 that errs by 3.5 times what blocks of 384 do (numpy, float32, root mean square), and
# measured, VGG16 as dense convolutions errs by 5.6 times what PyTorch does, where 4 is the limit.
ROUNDING_GROWTH = 4.0


def make(variant: str | None, threads: int) -> WebRuntime:
    """Return the runtime; it has one thread and no variants."""
    check_plain("xnnpack", variant, threads)
    return WebRuntime("xnnpack", "XnnpackExecutionProvider", ROUNDING_GROWTH)

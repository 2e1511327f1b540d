"""Winograd F(4, 3) along the height, fragments stacked: the algebra is in winograd_rows.py.

After the input transform rows no longer meet, so fragments stand below each other without a gap:
ordinary convolutions, which every kernel divides among all threads.
"""

from __future__ import annotations

import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site, Work
from legoexport.passes.lowerings.fragments import AS_STACK
from legoexport.passes.lowerings.winograd import F4
from legoexport.passes.lowerings.winograd_axis import declines_axis
from legoexport.passes.lowerings.winograd_rows import build_rows, rows_work


class WinogradRows4Stack:
    """Lower to F(4, 3) and the shared merge."""

    name = "winograd_rows_4_stack"
    # Measured: up to 2.4 (docs/lowerings.md); twice that.
    rounding_growth = 5.0

    def declines(self, site: Site) -> str | None:
        """Serve vertical kernels of 3 with stride and dilation 1."""
        return declines_axis(site, 0)

    def work(self, site: Site) -> Work:
        """Count the transforms too."""
        return rows_work(site, F4, AS_STACK)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add the layer."""
        return build_rows(draft, x, bank, site, transforms=F4, fragments=AS_STACK)

"""Winograd F(7, 3) along the height, fragments as batch: the algebra is in winograd_rows.py.

Each transformed filter is read once for all fragments: for small maps with many channels.
"""

from __future__ import annotations

import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site, Work
from legoexport.passes.lowerings.fragments import AS_BATCH
from legoexport.passes.lowerings.winograd import F7
from legoexport.passes.lowerings.winograd_axis import declines_axis
from legoexport.passes.lowerings.winograd_rows import build_rows, rows_work


class WinogradRows7Batch:
    """Lower to F(7, 3) and the shared merge."""

    name = "winograd_rows_7_batch"
    # Measured: up to 8.6 (docs/lowerings.md); twice that.
    rounding_growth = 18.0

    def declines(self, site: Site) -> str | None:
        """Serve vertical kernels of 3 with stride and dilation 1."""
        return declines_axis(site, 0)

    def work(self, site: Site) -> Work:
        """Count the transforms too."""
        return rows_work(site, F7, AS_BATCH)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add the layer."""
        return build_rows(draft, x, bank, site, transforms=F7, fragments=AS_BATCH)

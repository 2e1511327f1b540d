"""Winograd F(4x4, 3x3), fragments as batch: the algebra is in winograd_tiles.py.

Each transformed filter is read once for all fragments: for small maps with many channels.
"""

from __future__ import annotations

import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site, Work
from legoexport.passes.lowerings.fragments import AS_BATCH
from legoexport.passes.lowerings.winograd import F4
from legoexport.passes.lowerings.winograd_axis import declines_axis
from legoexport.passes.lowerings.winograd_tiles import build_tiles, tiles_work


class WinogradTiles4Batch:
    """Lower to F(4x4, 3x3) and the shared merge."""

    name = "winograd_tiles_4_batch"
    # Measured: up to 5.6 (docs/lowerings.md); twice that.
    rounding_growth = 12.0

    def declines(self, site: Site) -> str | None:
        """Serve kernels of 3 with stride and dilation 1."""
        return declines_axis(site, 0) or declines_axis(site, 1)

    def work(self, site: Site) -> Work:
        """Count the transforms too."""
        return tiles_work(site, F4, AS_BATCH)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add the layer."""
        return build_tiles(draft, x, bank, site, transforms=F4, fragments=AS_BATCH)

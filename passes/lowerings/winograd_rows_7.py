"""Winograd F(7, 3) along the height, a group per fragment: the algebra is in winograd_rows.py.

7 divides the heights of networks for 224 x 224 input: 7, 14, 28, 56, 112, 224.
"""

from __future__ import annotations

import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site, Work
from legoexport.passes.lowerings.fragments import AS_GROUPS
from legoexport.passes.lowerings.winograd import F7
from legoexport.passes.lowerings.winograd_axis import declines_axis
from legoexport.passes.lowerings.winograd_rows import build_rows, rows_work


class WinogradRows7:
    """Lower to F(7, 3) and the shared merge."""

    name = "winograd_rows_7"
    # Measured: up to 8.6 (docs/lowerings.md); twice that.
    rounding_growth = 18.0

    def declines(self, site: Site) -> str | None:
        """Serve vertical kernels of 3 with stride and dilation 1."""
        return declines_axis(site, 0)

    def work(self, site: Site) -> Work:
        """Count the transforms too."""
        return rows_work(site, F7, AS_GROUPS)

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add the layer."""
        return build_rows(draft, x, bank, site, transforms=F7, fragments=AS_GROUPS)

"""The map in which the fragments of a layer stand one below the other, gaps of zeros between them.

Output row r of a fragment reads its rows r*s - p to r*s - p + reach - 1. The gap g keeps them off
the next fragment, and puts each fragment at a multiple of the stride::

    g >= p,   g >= (h' - 1) s - p + reach - h,   (h + g) mod s = 0
"""

from __future__ import annotations

from dataclasses import dataclass

from legoexport.lego.geometry import kernel_extent
from legoexport.passes.lowerings.base import Site


@dataclass(frozen=True)
class StackedMap:
    """Heights in pixels.

    Attributes:
        gap: Zero rows below each fragment.
        distance: Output rows from a fragment to the next, at least those of the layer.
        padding: Zeros ``(above, below)`` the stack, so that it gives o * distance rows; below it
            they are negative where the stack does not fit.
    """

    gap: int
    distance: int
    padding: tuple[int, int]

    @classmethod
    def of(cls, site: Site) -> StackedMap:
        """Find the smallest gap for ``site``."""
        frozen, height, rows = site.frozen, site.input_size[0], site.output_size[0]
        stride, above = frozen.stride[0], frozen.padding[0]
        reach = kernel_extent(frozen.kernel[0], frozen.dilation[0])
        least = max(above, (rows - 1) * stride - above + reach - height, 0)
        gap = least + -(height + least) % stride
        return cls(gap, (height + gap) // stride, (above, reach - 1 - above))

    @property
    def fits(self) -> bool:
        """Whether the convolution gives o * distance rows and none more."""
        return self.padding[1] >= 0

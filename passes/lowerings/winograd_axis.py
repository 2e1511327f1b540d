"""Tiles along one axis of a map: the input rows of B^T as strided depthwise convolutions.

Row i of the transformed input is B^T[i] . d at every tile, that is a convolution over the axis with
kernel B^T[i] and stride f. As depthwise convolutions these stay in the runtime's blocked layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from legoexport.passes.draft import Draft
from legoexport.passes.lowerings.base import Site
from legoexport.passes.lowerings.winograd import TAPS, Taps, Transforms, taps_of

AXIS_NAMES = ("vertical", "horizontal")


@dataclass(frozen=True)
class Kernel:
    """A row of B^T as a depthwise convolution.

    Attributes:
        weight: ``(channels, 1, taps, 1)`` or ``(channels, 1, 1, taps)``.
        attributes: Attributes of the Conv node.
    """

    weight: ir.Value
    attributes: dict[str, Any]


@dataclass(frozen=True)
class TiledAxis:
    """One axis of a map cut into tiles.

    Attributes:
        axis: 0 vertical, 1 horizontal.
        transforms: Transforms of one tile.
        input_length: Length of the input, in pixels.
        output_length: Length of the output, in pixels.
        padding: Zeros on each side.
    """

    axis: int
    transforms: Transforms
    input_length: int
    output_length: int
    padding: int

    @classmethod
    def of(cls, site: Site, axis: int, transforms: Transforms) -> TiledAxis:
        """Cut the map of ``site``."""
        lengths = site.input_size[axis], site.output_size[axis]
        return cls(axis, transforms, *lengths, site.frozen.padding[axis])

    @property
    def tiles(self) -> int:
        """Tiles that cover the output; the last one may reach beyond it."""
        return -(-self.output_length // self.transforms.tile)

    @property
    def taps(self) -> list[Taps]:
        """What each row of B^T convolves with; ONNX pads but never crops, so none starts later."""
        return [taps_of(row, self.padding) for row in self.transforms.input]

    @property
    def tap_count(self) -> int:
        """Multiply-adds of the input transform of one tile."""
        return sum(len(taps.values) for taps in self.taps)

    def input_floats(self, site: Site) -> int:
        """Floats that the depthwise convolutions along the height read and write."""
        height, width = site.input_size
        return self.transforms.points * site.frozen.c * width * (height + self.tiles)

    def kernels(self, draft: Draft, channels: int) -> list[Kernel]:
        """Add the depthwise weights of all rows of B^T; a row of taps is stored once."""
        return [self._kernel(draft, taps, i, channels) for i, taps in enumerate(self.taps)]

    def transform(self, draft: Draft, name: str, x: ir.Value, kernel: Kernel) -> ir.Value:
        """Add the convolution of ``x`` with one row of B^T."""
        inputs = [x, kernel.weight]
        return draft.node("transform", name, "Conv", inputs, kernel.attributes)

    def _kernel(self, draft: Draft, taps: Taps, i: int, channels: int) -> Kernel:
        name, sizes = f"{AXIS_NAMES[self.axis]}_{i}", self._sizes(1, len(taps.values))
        values = np.array(taps.values, dtype=np.float32).reshape(1, 1, *sizes)
        inputs = [
            draft.constant("weights", f"{name}_taps", values),
            draft.integers("weights", f"{name}_shape", [channels, 1, *sizes]),
        ]
        weight = draft.node("weights", name, "Expand", inputs)
        return Kernel(weight, {**self._geometry(taps), "kernel_shape": sizes, "group": channels})

    def _geometry(self, taps: Taps) -> dict[str, Any]:
        """Padding so that tap 0 of tile 0 meets its pixel and the last tile is complete."""
        tile = self.transforms.tile
        before = self.padding - taps.offset
        reach = (self.tiles - 1) * tile + taps.end - taps.offset
        after = max(0, reach - before - self.input_length)
        return {
            "strides": self._sizes(1, tile),
            "dilations": self._sizes(1, taps.dilation),
            "pads": self._sizes(0, before) + self._sizes(0, after),
        }

    def _sizes(self, other: int, own: int) -> list[int]:
        return [own, other] if self.axis == 0 else [other, own]


def declines_axis(site: Site, axis: int) -> str | None:
    """Return why Winograd cannot serve ``axis`` of the layer, or None if it can."""
    frozen = site.frozen
    if frozen.kernel[axis] != TAPS:
        return f"the {AXIS_NAMES[axis]} kernel is {frozen.kernel[axis]}, not {TAPS}"
    if frozen.stride[axis] != 1 or frozen.dilation[axis] != 1:
        return f"the {AXIS_NAMES[axis]} stride or dilation is not 1"
    return None

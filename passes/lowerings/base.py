"""What a lowering is, and what it is told about the layer it lowers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.scales import LayerScales
from legoexport.passes.draft import Draft
from legoexport.passes.lego_op import LegoNode

# How a merge adds up: small maps by blocks of outputs, which is faster, or all maps output by
# output, which stores least. merge.py has the algebra.
Sums = Literal["by blocks", "by output"]


@dataclass(frozen=True)
class Site:
    """A layer and the place where it stands.

    Attributes:
        layer: Dotted name of the torch module.
        frozen: Its tables and geometry.
        input_size: ``(height, width)`` of the map that enters, in pixels.
        sums: How its merge adds up.
        scales: What it takes to compute the layer in integers; None in a float network.
    """

    layer: str
    frozen: FrozenLego
    input_size: tuple[int, int]
    sums: Sums = "by blocks"
    scales: LayerScales | None = None

    @classmethod
    def of(
        cls, node: LegoNode, sums: Sums = "by blocks", scales: LayerScales | None = None
    ) -> Site:
        """Read the site of ``node`` from its graph.

        Raises:
            UsageError: The height or width is not a fixed number.
        """
        shape = node.x.shape
        size = None if shape is None else (shape[2], shape[3])
        if size is None or not (isinstance(size[0], int) and isinstance(size[1], int)):
            raise UsageError(
                f"layer {node.layer}: its input height and width must be fixed",
                received=shape,
                next_step="convert with --input-size H W",
            )
        return cls(node.layer, node.frozen, (size[0], size[1]), sums, scales)

    @property
    def output_size(self) -> tuple[int, int]:
        """``(height, width)`` of the map that leaves, in pixels."""
        return self.frozen.output_size(*self.input_size)

    @property
    def output_pixels(self) -> int:
        """Number of pixels of the map that leaves."""
        height, width = self.output_size
        return height * width

    @property
    def end_floats(self) -> int:
        """Floats of the maps that enter and leave."""
        height, width = self.input_size
        return self.frozen.c * height * width + self.frozen.n * self.output_pixels


@dataclass(frozen=True)
class Footprint:
    """What a layer costs for one image, independent of the machine.

    A convolution in the blocked layout reads its input and writes its output while it computes, so
    only its weights count as moved: for every image again, unless they fit the second-level cache,
    as those of one point of a row transform do. Every other operator reads and writes all that it
    touches, and so does the reordering into and out of the blocked layout.

    Attributes:
        macs: Multiply-adds of everything that runs for an image.
        compute_bound_macs: Those of operators whose time is that of their arithmetic; the time of
            the others, transforms and a gathered merge, is that of the floats they move.
        floats: Floats read and written, and weights.
        nodes: Operators that run.
        weights: Floats that stay in memory once the runtime has folded what the file computes.
        alive: Floats of the maps that the widest operator reads and writes.
        tile_floats: Those of ``floats`` that are moved in steps along both axes, as Winograd's
            tiles are.
    """

    macs: int
    compute_bound_macs: int
    floats: int
    nodes: int
    weights: int
    alive: int
    tile_floats: int = 0


class Lowering(Protocol):
    """One strategy that turns a Lego layer into standard operators.

    Every weight it needs is computed in the graph from the one stored bank; ONNX Runtime folds that
    arithmetic when a session is created, so the file stays Lego-sized.
    """

    @property
    def name(self) -> str:
        """The name used in plans."""
        ...

    @property
    def rounding_growth(self) -> float:
        """Its rounding error over that of a plain sum of the same products; 1 for direct forms."""
        ...

    @property
    def dilates_groups(self) -> bool:
        """Whether it has a convolution in groups with the dilation of the layer."""
        ...

    def declines(self, site: Site) -> str | None:
        """Return why this lowering cannot serve ``site``, or None if it can."""
        ...

    def footprint(self, site: Site) -> Footprint:
        """Count what one image costs."""
        ...

    def build(self, draft: Draft, x: ir.Value, bank: ir.Value, site: Site) -> ir.Value:
        """Add the nodes that compute the layer from ``x`` and the stored ``bank``.

        Returns:
            The value that holds the layer's output.
        """
        ...


def convolution_attributes(frozen: FrozenLego, group: int) -> dict[str, Any]:
    """Attributes of an ONNX Conv with the geometry of ``frozen``."""
    return {
        "kernel_shape": list(frozen.kernel),
        "strides": list(frozen.stride),
        "pads": list(frozen.padding) * 2,
        "dilations": list(frozen.dilation),
        "group": group,
    }


def filter_taps(frozen: FrozenLego) -> int:
    """Multiply-adds of one Lego filter at one pixel."""
    return int(frozen.lego[0].size)


def filled_width(frozen: FrozenLego, block: int) -> int:
    """The most filters that any fragment uses, in whole blocks of ``block``."""
    most = max(len(used) for used in frozen.selection.filters)
    return -(-most // block) * block


def stored_bias(frozen: FrozenLego) -> NDArray[np.float32]:
    """The bias of the last Conv of a layer, ``(n,)``: zeros where the layer has none."""
    if frozen.bias is None:
        return np.zeros(frozen.n, np.float32)
    return frozen.bias.astype(np.float32, copy=False)

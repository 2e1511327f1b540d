"""Let a file take pictures of one other size, and scale them as training does, to the bit.

    image uint8 (b, H, W, c)  ->  Slice to what counts  ->  a pass over each axis that changes
                              ->  image/resized uint8 (b, h, w, c)

A pass sums a few pixels for each one that it gives (see ``legoexport.lego.resampling``). It is a
matrix product with blocks of the band matrix: outputs that stand together share a window of pixels.

    Reshape (b, n, rest)  ->  Gather of windows (b, blocks, window, rest)  ->  Cast to double
        ->  MatMul by weights (blocks, block, window)  ->  + 1/2, Floor, Clip to 0..255  ->  Cast

Weights are multiples of 2**-22 and pixels are integers, so a double holds every sum exactly and no
order of addition changes a bit. The file holds the few weights of each output; the blocks are made
of them by constant arithmetic, which is folded when a session is created:

    blocks[j, i, p] = weights[i, clip(p - shift[j, i])]        0 left and right of its weights
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir

from legoexport.errors import UsageError
from legoexport.lego.normalization import GREY_LEVELS
from legoexport.lego.resampling import BITS, WIDTH, Resize, Size, check_size
from legoexport.passes.constants import add_constant
from legoexport.passes.pixel_blocks import Blocks
from legoexport.passes.take_pixels import IMAGE
from legoexport.target import Target

RESIZED, PREFIX = f"{IMAGE}/resized", f"{IMAGE}/resize"
PASS_NAMES = ("rows", "columns")
AXIS, SWAPPED = 1, (0, 2, 1, 3)
OPERATORS = frozenset(
    {"Add", "Cast", "Clip", "Floor", "Gather", "MatMul", "Reshape", "Slice", "Transpose"}
)
DOUBLE, BYTES = ir.DataType.DOUBLE, ir.DataType.UINT8


def check_source(source: Size, target: Target, *, takes_pixels: bool) -> None:
    """Hold a file to what scaling its pictures needs.

    Args:
        source: ``(h, w)`` of the pictures.
        target: Where the file is to run.
        takes_pixels: Whether it takes pixels.

    Raises:
        UsageError: It takes tensors, or the target lacks an operator, or this is no size.
    """
    check_size(source)
    if not takes_pixels:
        raise UsageError(
            "a file that takes tensors scales no pictures",
            received="--resize {}x{}".format(*source),
            next_step="add --input image, or leave --resize out",
        )
    missing = sorted(OPERATORS - target.allowed_ops)
    if missing:
        raise UsageError(
            f"target {target.name} lacks operators that scale pictures to the bit",
            received=f"--resize, which needs {', '.join(missing)}",
            next_step="leave --resize out and scale pictures in the app, or take target cpu",
        )


def resize_of(source: Size, size: Size) -> Resize:
    """Return how pictures of one size become as large as a network takes them.

    Raises:
        UsageError: They are so already.
    """
    if source == size:
        raise UsageError(
            "the network takes pictures of this size already",
            received="--resize {}x{}".format(*size),
            next_step="leave it out",
        )
    return Resize(source, size)


class ResizePixels(ir.passes.InPlacePass):
    """Put a picture of another size in the place of an image, and what scales it behind it.

    ``resize`` says from which size to which.

    Args:
        source: ``(h, w)`` of the picture.
    """

    def __init__(self, source: Size) -> None:
        super().__init__()
        self.source = source
        self.resize: Resize | None = None

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place.

        Raises:
            UsageError: The picture has the size of the image.
        """
        graph = model.graph
        (resized,) = graph.inputs
        batch, *sizes = list(resized.shape or ())
        height, width, channels = (one for one in sizes if isinstance(one, int))
        resize = resize_of(self.source, (height, width))
        image = ir.val(None, shape=ir.Shape([batch, *self.source, channels]), type=resized.type)
        draft = _Draft(graph, PREFIX)
        made = _scaled(draft, image, resize, channels)
        self.resize = resize
        shape, kind = resized.shape, resized.type
        ir.convenience.replace_all_uses_with(resized, made)
        graph.inputs[0] = image
        resized.name, image.name = None, IMAGE
        made.name, made.shape, made.type = RESIZED, shape, kind
        graph.insert_before(graph[0], draft.nodes)
        return ir.passes.PassResult(model, modified=True)


class _Draft:
    """Collects nodes; its constants are in the graph already, under the same prefix."""

    def __init__(self, graph: ir.Graph, prefix: str) -> None:
        self.graph, self.prefix = graph, prefix
        self.nodes: list[ir.Node] = []

    def within(self, name: str) -> _Draft:
        """Return a draft that collects in the same list under a longer prefix."""
        inner = _Draft(self.graph, f"{self.prefix}/{name}")
        inner.nodes = self.nodes
        return inner

    def constant(self, name: str, array: Any, dtype: type = np.int32) -> ir.Value:
        return add_constant(f"{self.prefix}/{name}", np.asarray(array, dtype), self.graph)

    def shape(self, name: str, *sizes: int) -> ir.Value:
        """Return a shape, or ends of a Slice, which are int64 wherever they are taken."""
        return self.constant(name, sizes, np.int64)

    def node(
        self,
        name: str,
        operator: str,
        *inputs: ir.Value,
        attributes: Mapping[str, Any] | None = None,
    ) -> ir.Value:
        """Add a node and return what it gives."""
        full = f"{self.prefix}/{name}"
        node = ir.node(operator, inputs, attributes, outputs=[ir.val(full)], name=full)
        self.nodes.append(node)
        return node.outputs[0]

    def cast(self, name: str, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        return self.node(name, "Cast", value, attributes={"to": int(dtype)})

    def cut(self, name: str, value: ir.Value, axis: int, start: int, end: int) -> ir.Value:
        ends = [
            self.shape(f"{name}_{what}", at)
            for what, at in (("start", start), ("end", end), ("axis", axis))
        ]
        return self.node(name, "Slice", value, *ends)

    def swapped(self, name: str, value: ir.Value) -> ir.Value:
        """Exchange height and width."""
        return self.node(name, "Transpose", value, attributes={"perm": SWAPPED})


def _scaled(draft: _Draft, image: ir.Value, resize: Resize, channels: int) -> ir.Value:
    """Return an image ``(b, H, W, c)`` cut to what counts, behind its passes."""
    passes = resize.passes
    for axis, taps in passes:
        low, high = taps.span
        if high - low < resize.source[axis]:
            image = draft.cut(f"cut_{PASS_NAMES[axis]}", image, axis + 1, low, high)
    for axis, taps in passes:
        low, high = taps.span
        blocks = Blocks.of(replace(taps, first=taps.first - low), high - low)
        part = draft.within(PASS_NAMES[axis])
        # The axis to sum over stands behind the batch, and the others are one to the product.
        moved = part.swapped("swap", image) if axis == WIDTH else image
        levels = _summed(part, moved, blocks, channels)
        image = part.swapped("swap_back", levels) if axis == WIDTH else levels
    return image


def _summed(draft: _Draft, image: ir.Value, blocks: Blocks, channels: int) -> ir.Value:
    """Return ``(b, n, rest, c)`` with the first axis behind the batch summed, as grey levels."""
    flat = draft.node("flat", "Reshape", image, draft.shape("flat_shape", 0, blocks.size, -1))
    windows = draft.node(
        "windows", "Gather", flat, _places(draft, blocks), attributes={"axis": AXIS}
    )
    sums = draft.node(
        "sums", "MatMul", _weights(draft, blocks), draft.cast("read", windows, DOUBLE)
    )
    half = draft.constant("half", 0.5, np.float64)
    floor = draft.node("floor", "Floor", draft.node("add_half", "Add", sums, half))
    ends = [draft.constant(*one, np.float64) for one in (("black", 0), ("white", GREY_LEVELS))]
    levels = draft.cast("levels", draft.node("clip", "Clip", floor, *ends), BYTES)
    count, made = len(blocks.taps.first), len(blocks.starts) * blocks.block
    shape = draft.shape("shape", 0, made, -1, channels)
    joined = draft.node("joined", "Reshape", levels, shape)
    return joined if made == count else draft.cut("end", joined, AXIS, 0, count)


def _places(draft: _Draft, blocks: Blocks) -> ir.Value:
    """Return the pixels of each window, ``(blocks, window)``; behind the last it repeats the last.

    Such a pixel has no weight.
    """
    steps = draft.constant("steps", np.arange(blocks.window))
    starts = draft.constant("starts", blocks.starts[:, None])
    ends = [draft.constant(*one) for one in (("first", 0), ("last", blocks.size - 1))]
    return draft.node("places", "Clip", draft.node("counted", "Add", starts, steps), *ends)


def _weights(draft: _Draft, blocks: Blocks) -> ir.Value:
    """Return what each sum takes of each pixel of its window, ``(blocks, block, window)``."""
    bordered = np.pad(blocks.taps.weights, ((0, 0), (1, 1)))
    count, taps_count = bordered.shape
    sums = np.minimum(np.arange(len(blocks.starts) * blocks.block), count - 1)
    shift = blocks.taps.first[sums] - np.repeat(blocks.starts, blocks.block) - 1
    by_sum = (len(blocks.starts), blocks.block, 1)
    steps = draft.constant("weight/steps", np.arange(blocks.window))
    shifts = draft.constant("weight/shift", shift.reshape(by_sum))
    ends = [draft.constant(*one) for one in (("weight/left", 0), ("weight/right", taps_count - 1))]
    moved = draft.node("weight/moved", "Sub", steps, shifts)
    column = draft.node("weight/column", "Clip", moved, *ends)
    row = draft.constant("weight/row", (sums * taps_count).reshape(by_sum))
    taps = draft.constant("weight/taps", bordered.reshape(-1))
    found = draft.node("weight/found", "Gather", taps, draft.node("weight/at", "Add", row, column))
    unit = draft.constant("weight/unit", 0.5**BITS, np.float64)
    return draft.node("weight/weight", "Mul", draft.cast("weight/cast", found, DOUBLE), unit)

"""Let a file take pictures of one other size, and scale them as training does, to the bit.

    image uint8 (b, H, W, c)  ->  a pass over each axis that changes
                              ->  image/resized uint8 (b, h, w, c)

A pass sums a few pixels for each one that it gives (see ``legoexport.lego.resampling``):

    y = clip(floor((S + 2**21) / 2**22), 0, 255)        S = sum_k w[k] x[k]

It is a matrix product with blocks of the band matrix: outputs that stand together share a window
of pixels. A weight has 22 bits, a pixel 8, float32 24; so a weight is split in two, and

    w = 2**11 h + l,  |l| <= 2**10      floor(S / 2**11) = sum h x + floor(sum l x / 2**11) = t

    Gather of windows (b, blocks, window, rest)  ->  Cast to float32
        ->  MatMul by weights (blocks, 2 block, window), h above l / 2**11
        ->  Floor, which leaves the sums of h  ->  ReduceMean of the two, t / 2
        ->  QuantizeLinear                                  y = clip(floor(t / 2**11 + 1/2))

All sums are multiples of one power of two, at most 2**24 times as large (``Blocks.parts``), so
float32 holds them exactly, and no order of addition changes a bit. Where it would not, double
sums the whole weights. QuantizeLinear rounds a tie to even and Pillow rounds it up, so the scale is
smaller by 2**-21 of itself: this lifts a tie, t = (k + 1/2) 2**11 < 2**19, by less than 1/4, so
that no t below reaches it, and by four times what dividing may round off.

The axis to sum over stands behind the batch, and the others are one to the product. For the sums
along a row, ``(H, W c)`` is transposed before and after, which is fast because nothing stands
behind ``W c``. The file holds the few weights of each output; the blocks are made of them by
constant arithmetic, which is folded when a session is created (see ``pixel_weights``).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx_ir as ir

from legoexport.errors import UsageError
from legoexport.lego.resampling import BITS, WIDTH, Resize, Size, check_size
from legoexport.passes.pixel_blocks import LOW_BITS, Blocks
from legoexport.passes.pixel_draft import PixelDraft
from legoexport.passes.pixel_weights import add_places, add_weights
from legoexport.passes.take_pixels import IMAGE
from legoexport.target import Target

RESIZED, PREFIX = f"{IMAGE}/resized", f"{IMAGE}/resize"
PASS_NAMES = ("rows", "columns")
AXIS, PART_AXIS = 1, 2
OPERATORS = frozenset(
    {
        "Cast", "Floor", "Gather", "MatMul", "QuantizeLinear", "ReduceMean", "Reshape", "Slice",
        "Transpose",
    }
)  # fmt: skip
# Of what is quantized: lifts ties, so that they are rounded up.
LESS = 1 - 2.0**-21


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
        draft = PixelDraft(graph, PREFIX, model.opset_imports[""])
        made = _scaled(draft, image, resize, channels)
        self.resize = resize
        shape, kind = resized.shape, resized.type
        ir.convenience.replace_all_uses_with(resized, made)
        graph.inputs[0] = image
        resized.name, image.name = None, IMAGE
        made.name, made.shape, made.type = RESIZED, shape, kind
        graph.insert_before(graph[0], draft.nodes)
        return ir.passes.PassResult(model, modified=True)


def _scaled(draft: PixelDraft, image: ir.Value, resize: Resize, channels: int) -> ir.Value:
    """Return an image ``(b, H, W, c)`` behind its passes."""
    passes, sizes = dict(resize.passes), list(resize.source)
    for axis, taps in resize.passes[1:]:
        # What the other pass would make in vain. The first one gathers no more than counts.
        low, high = taps.span
        if high - low < sizes[axis]:
            image = draft.cut(f"cut_{PASS_NAMES[axis]}", image, axis + 1, low, high)
            passes[axis], sizes[axis] = replace(taps, first=taps.first - low), high - low
    rows = draft.reshaped("rows", image, 0, sizes[0], -1)
    for axis, taps in passes.items():
        part, blocks = draft.within(PASS_NAMES[axis]), Blocks.of(taps, sizes[axis])
        sizes[axis] = len(taps.first)
        if axis != WIDTH:
            rows = _summed(part, rows, blocks)
            continue
        columns = part.reshaped("split", part.swapped("swap", rows), 0, blocks.size, -1)
        made = _summed(part, columns, blocks)
        joined = part.reshaped("join", made, 0, sizes[axis] * channels, -1)
        rows = part.swapped("swap_back", joined)
    return draft.reshaped("image", rows, 0, *sizes, channels)


def _summed(draft: PixelDraft, pixels: ir.Value, blocks: Blocks) -> ir.Value:
    """Return ``(b, n, rest)`` with the axis behind the batch summed, as grey levels."""
    places = add_places(draft, blocks)
    windows = draft.node("windows", "Gather", pixels, places, attributes={"axis": AXIS})
    weights, read = add_weights(draft, blocks), draft.cast("read", windows, blocks.kind)
    floor = draft.node("floor", "Floor", draft.node("sums", "MatMul", weights, read))
    levels = draft.node("levels", "QuantizeLinear", *_steps(draft, floor, blocks))
    count, made = len(blocks.taps.first), len(blocks.starts) * blocks.block
    joined = draft.reshaped("joined", levels, 0, made, -1)
    return joined if made == count else draft.cut("end", joined, AXIS, 0, count)


def _steps(draft: PixelDraft, floor: ir.Value, blocks: Blocks) -> tuple[ir.Value, ...]:
    """Return ``t``, or what stands in for it, and what quantizes it."""
    if blocks.parts == 1:
        steps = draft.cast("steps", floor, ir.DataType.FLOAT)
    else:
        sizes = len(blocks.starts), blocks.parts, blocks.block
        parts = draft.reshaped("parts", floor, 0, *sizes, -1)
        steps = draft.mean("steps", parts, PART_AXIS)
    scale = LESS * 2 ** (BITS - LOW_BITS) / blocks.parts
    ends = draft.constant("scale", scale, np.float32), draft.constant("zero", 0, np.uint8)
    return steps, *ends

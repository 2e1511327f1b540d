"""The ends of a file: pixels in the place of a tensor, classes in the place of scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from legoexport.compile.stages import CompileOptions
from legoexport.lego.output_form import SCORES, top_count
from legoexport.lego.resampling import Resize
from legoexport.passes.give_probabilities import GiveProbabilities
from legoexport.passes.give_top import GiveTop
from legoexport.passes.resize_pixels import ResizePixels
from legoexport.passes.take_pixels import TakePixels

Apply = Callable[[str, ir.passes.PassBase], None]


@dataclass(frozen=True)
class Ends:
    """What became of the ends of a network.

    Attributes:
        pixels_remark: Where pixels are normalised; empty if it takes what the network takes.
        resize: How pixels are scaled first; None if they are not.
        classes_count: Number of classes where it gives only some of them; None where it gives all.
    """

    pixels_remark: str = ""
    resize: Resize | None = None
    classes_count: int | None = None


def add_ends(options: CompileOptions, apply: Apply) -> Ends:
    """Bring input and output into the form that ``options`` ask for.

    Args:
        options: What the file is compiled for.
        apply: Runs a pass under a name.

    Raises:
        UsageError: Pixels have the size of the network already, or it gives no scores of classes,
            or fewer than asked for.
    """
    remark, resize = "", None
    if options.pixels is not None:
        take = TakePixels(options.pixels, folds=options.final_store == "fp32")
        apply("take_pixels", take)
        remark = take.remark
    if options.source_size is not None:
        scale = ResizePixels(options.source_size)
        apply("resize_pixels", scale)
        resize = scale.resize
    return Ends(remark, resize, _give(options.output, apply))


def _give(output: str, apply: Apply) -> int | None:
    if output == SCORES:
        return None
    apply("give_probabilities", GiveProbabilities())
    count = top_count(output)
    if count is None:
        return None
    top = GiveTop(count)
    apply("give_top", top)
    return top.classes_count

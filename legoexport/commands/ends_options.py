"""``--input``, ``--resize`` and ``--output``: what a converted file takes and gives at its ends."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from legoexport.commands.picture_options import picture_normalization
from legoexport.errors import UsageError
from legoexport.lego.output_form import LEGAL, SCORES
from legoexport.lego.resampling import LEGAL as SIZE_LEGAL
from legoexport.lego.resampling import Size

if TYPE_CHECKING:
    from legoexport.compile.stages import CompileOptions
    from legoexport.lego.normalization import Normalization
    from legoexport.models.checkpoint import Checkpoint

Command = Callable[..., Any]
SIZE = re.compile("(?P<height>[1-9][0-9]{0,4})x(?P<width>[1-9][0-9]{0,4})", re.ASCII)
INPUTS = ("tensor", "image")
_KEYS = {name: f"legoexport.{name}" for name in ("input", "resize", "output")}


def ends_options(command: Command) -> Command:
    """Add ``--input``, ``--resize`` and ``--output``."""
    takes = click.option(
        "--input",
        default="tensor",
        type=click.Choice(INPUTS),
        expose_value=False,
        callback=_keep,
        help="What the file takes: normalised float32 (b, c, h, w), or an image, uint8 (b, h, w, c)"
        " as a decoder gives it, which the file normalises itself.",
    )
    scales = click.option(
        "--resize",
        metavar="HxW",
        expose_value=False,
        callback=_keep,
        help="With --input image: the file takes pictures of this height and width, and scales them"
        " inside as training does, to the bit.",
    )
    gives = click.option(
        "--output",
        default=SCORES,
        metavar="scores|probabilities|top-N",
        expose_value=False,
        callback=_keep,
        help=f"What the file gives for each image: {LEGAL}.",
    )
    return takes(scales(gives(command)))


def _keep(context: click.Context, option: click.Parameter, value: str | None) -> None:
    # Only with_ends has to know this.
    context.meta[_KEYS[str(option.name)]] = value


def with_ends(options: CompileOptions, checkpoint: Checkpoint) -> CompileOptions:
    """Return what to compile for, with the input and the output that were asked for.

    Raises:
        UsageError: ``--resize`` is no size, or is given without ``--input image``, or the target
            lacks what it needs; or ``--mean`` and ``--std`` contradict the checkpoint; or the file
            is to take images, and nobody knows how training normalised them, or the network takes
            no pictures.
    """
    meta = click.get_current_context().meta
    options = replace(options, output=meta[_KEYS["output"]])
    source = _source_size(meta[_KEYS["resize"]])
    stated = _normalization(checkpoint)
    if meta[_KEYS["input"]] != "image":
        return replace(options, source_size=source)
    from legoexport.ort.session import GREY_OR_COLOUR
    from legoexport.passes.resize_pixels import resize_of

    channels = checkpoint.input_shape[0]
    if channels not in GREY_OR_COLOUR:
        raise UsageError("--input image needs a network of 1 or 3 channels", received=channels)
    if stated is None:
        raise UsageError(
            "--input image: the checkpoint does not say how training normalised its pictures",
            legal="--mean and --std, of colours in [0, 1]",
            next_step="state them",
        )
    if source is not None:
        resize_of(source, checkpoint.input_shape[1:])  # says early what is wrong with it
    return replace(options, pixels=stated, source_size=source)


def _normalization(checkpoint: Checkpoint) -> Normalization | None:
    """Return how pictures were normalised: by one word, for calibration and for the file's own."""
    stated, recorded = picture_normalization(checkpoint), checkpoint.normalization
    if stated is not None and recorded is not None and stated != recorded:
        raise UsageError(
            "--mean and --std contradict the checkpoint",
            received=f"mean {stated.mean}, std {stated.std}",
            legal=f"mean {recorded.mean}, std {recorded.std}",
            next_step="leave --mean and --std out",
        )
    return stated


def _source_size(text: str | None) -> Size | None:
    if text is None:
        return None
    found = SIZE.fullmatch(text)
    if not found:
        raise UsageError("--resize is no size", received=text, legal=SIZE_LEGAL)
    return int(found["height"]), int(found["width"])

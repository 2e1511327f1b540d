"""``--input`` and ``--output``: what a converted file takes and gives at its ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from legoexport.commands.picture_options import picture_normalization
from legoexport.errors import UsageError
from legoexport.lego.output_form import LEGAL, SCORES

if TYPE_CHECKING:
    from legoexport.compile.stages import CompileOptions
    from legoexport.models.checkpoint import Checkpoint

Command = Callable[..., Any]
INPUTS = ("tensor", "image")
_KEYS = {"input": "legoexport.input", "output": "legoexport.output"}


def ends_options(command: Command) -> Command:
    """Add ``--input`` and ``--output``."""
    takes = click.option(
        "--input",
        default="tensor",
        type=click.Choice(INPUTS),
        expose_value=False,
        callback=_keep,
        help="What the file takes: normalised float32 (b, c, h, w), or an image, uint8 (b, h, w, c)"
        " as a decoder gives it, which the file normalises itself.",
    )
    gives = click.option(
        "--output",
        default=SCORES,
        metavar="scores|probabilities|top-N",
        expose_value=False,
        callback=_keep,
        help=f"What the file gives for each image: {LEGAL}.",
    )
    return takes(gives(command))


def _keep(context: click.Context, option: click.Parameter, value: str) -> None:
    # Only with_ends has to know this.
    context.meta[_KEYS[str(option.name)]] = value


def with_ends(options: CompileOptions, checkpoint: Checkpoint) -> CompileOptions:
    """Return what to compile for, with the input and the output that were asked for.

    Raises:
        UsageError: The file is to take images, and nobody knows how training normalised them, or
            the options contradict the checkpoint, or the network takes no pictures.
    """
    meta = click.get_current_context().meta
    options = replace(options, output=meta[_KEYS["output"]])
    if meta[_KEYS["input"]] != "image":
        return options
    from legoexport.ort.session import GREY_OR_COLOUR

    channels = checkpoint.input_shape[0]
    if channels not in GREY_OR_COLOUR:
        raise UsageError("--input image needs a network of 1 or 3 channels", received=channels)
    stated, recorded = picture_normalization(checkpoint), checkpoint.normalization
    if stated is None:
        raise UsageError(
            "--input image: the checkpoint does not say how training normalised its pictures",
            legal="--mean and --std, of colours in [0, 1]",
            next_step="state them",
        )
    if recorded is not None and stated != recorded:
        raise UsageError(
            "--input image: the options contradict the checkpoint",
            received=f"mean {stated.mean}, std {stated.std}",
            legal=f"mean {recorded.mean}, std {recorded.std}",
            next_step="leave --mean and --std out",
        )
    return replace(options, pixels=stated)

"""``--mean`` and ``--std``: how pictures were normalised, where the checkpoint does not say."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from legoexport.web.pixels import read_pixels

if TYPE_CHECKING:
    from legoexport.lego.normalization import Normalization
    from legoexport.models.checkpoint import Checkpoint

Command = Callable[..., Any]
SOURCES = (
    "an .npy or .npz of images prepared as for training; a folder or zip archive of pictures;"
    " CIFAR-10; or digits"
)
_KEYS = {"mean": "legoexport.mean", "std": "legoexport.std"}


def picture_options(command: Command) -> Command:
    """Add ``--mean`` and ``--std``."""
    mean = click.option(
        "--mean",
        metavar="R,G,B",
        expose_value=False,
        callback=_keep,
        help="Mean to subtract from the colours of pictures, in [0, 1]. One number, or one a"
        " channel. What the checkpoint records, unless given.",
    )
    std = click.option(
        "--std",
        metavar="R,G,B",
        expose_value=False,
        callback=_keep,
        help="Standard deviation to divide by, likewise.",
    )
    return mean(std(command))


def _keep(context: click.Context, option: click.Parameter, value: str | None) -> None:
    # Only who reads pictures has to know this, through picture_normalization.
    context.meta[_KEYS[str(option.name)]] = value


def picture_normalization(checkpoint: Checkpoint) -> Normalization | None:
    """Return how to normalise pictures: as the options say, else as the checkpoint does.

    Raises:
        UsageError: Only one option is given, or they are not numbers for the network's channels.
    """
    meta = click.get_current_context().meta
    mean, std = (meta.get(key) for key in _KEYS.values())
    if mean is None and std is None:
        return checkpoint.normalization
    return read_pixels(mean, std, checkpoint.input_shape[0]).normalization

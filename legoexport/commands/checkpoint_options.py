"""Options of every command that reads a checkpoint: what the file itself may not say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from legoexport.commands.shape_options import given_shapes
from legoexport.errors import UsageError

if TYPE_CHECKING:
    from legoexport.models.checkpoint import Checkpoint

Command = Callable[..., Any]
WEIGHTS = ("model", "ema")
_WEIGHTS_KEY = "legoexport.weights"


def checkpoint_options(command: Command) -> Command:
    """Add ``--arch``, ``--set``, ``--model``, ``--input-size`` and ``--weights``."""
    options = [
        click.option("--arch", metavar="NAME", help="Architecture of a bare state_dict."),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set a hyperparameter of --arch, such as o=2 or m_ratio=0.5; repeatable.",
        ),
        click.option(
            "--model",
            "factory",
            metavar="PACKAGE.MODULE:FACTORY",
            help="Your own code that builds the network. It is imported and called.",
        ),
        click.option(
            "--input-size",
            nargs=2,
            type=click.IntRange(min=1),
            metavar="H W",
            help="Input height and width in pixels, if the checkpoint does not say.",
        ),
        click.option(
            "--weights",
            type=click.Choice(WEIGHTS),
            expose_value=False,
            callback=_keep_weights,
            help="Take the model's weights or their moving average, where the checkpoint has both.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _keep_weights(context: click.Context, _option: click.Parameter, value: str | None) -> None:
    # Every command hands its checkpoint to load_checkpoint, which alone has to know this.
    context.meta[_WEIGHTS_KEY] = value


def load_checkpoint(
    path: Path,
    arch: str | None,
    settings: tuple[str, ...],
    factory: str | None,
    input_size: tuple[int, int] | None,
    *,
    dense: bool = False,
    takes_image: bool = True,
) -> Checkpoint:
    """Read the checkpoint that the options describe, of a LegoNet or of a dense network."""
    from legoexport.models.checkpoint import read_checkpoint

    context = click.get_current_context(silent=True)
    checkpoint = read_checkpoint(
        path,
        arch=arch,
        hyperparameters=parse_settings(settings) or None,
        model=factory,
        input_size=input_size,
        dense=dense,
        takes_image=takes_image and not given_shapes(),
        weights=context.meta.get(_WEIGHTS_KEY) if context else None,
    )
    for note in checkpoint.notes:
        click.echo(f"{path}: {note}", err=True)
    return checkpoint


def parse_settings(settings: tuple[str, ...]) -> dict[str, object]:
    """Parse ``KEY=VALUE`` pairs; a value is JSON where it can be and a string otherwise.

    Raises:
        UsageError: A pair has no ``=``.
    """
    parsed: dict[str, object] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not (key and equals):
            raise UsageError("--set takes KEY=VALUE", received=setting, legal="--set o=2")
        try:
            parsed[key] = json.loads(text)
        except ValueError:
            parsed[key] = text
    return parsed

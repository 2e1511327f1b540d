"""``legoexport train``: a LegoNet from pictures."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from legoexport.commands.checkpoint_options import parse_settings
from legoexport.host.report import print_json, print_text
from legoexport.training.recipe import PRESETS, choose
from legoexport.training.request import SAVE_SECONDS, Request

if TYPE_CHECKING:
    from legoexport.training.run import Trained

INTERRUPTED = 130


@click.command("train")
@click.option("--arch", required=True, metavar="NAME", help="Network, such as lego_vgg16.")
@click.option(
    "--data",
    "source",
    required=True,
    metavar="PATH",
    help="Folder or zip archive of train/CLASS/ and test/CLASS/, CIFAR-10 as published, .npz, or"
    " the word digits.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Checkpoint to write; FILE.state and FILE.csv lie beside it.",
)
@click.option("--preset", default="short", type=click.Choice(list(PRESETS)), help="Recipe; short.")
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Passes over the data.")
@click.option(
    "--recipe",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the preset, such as learning_rate=0.05 or schedule=cosine; repeatable.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Hyper-parameter of the network, such as o=2 or m_ratio=0.5; repeatable.",
)
@click.option("--coefficients/--no-coefficients", default=None, help="Learn coefficients; yes.")
@click.option("--seed", default=0, type=click.IntRange(min=0), help="Of everything random; 0.")
@click.option("--device", metavar="NAME", help="Such as cpu or cuda; an accelerator if there is.")
@click.option("--amp/--no-amp", "mixed", default=None, help="bfloat16; where the device has it.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.")
@click.option("--image-size", type=click.IntRange(min=1), metavar="N", help="Scale pictures to N.")
@click.option(
    "--start",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Checkpoint to begin with, such as one from legofy; random weights unless given.",
)
@click.option("--resume", "resumes", is_flag=True, help="Go on where an earlier run stopped.")
@click.option(
    "--save-every",
    "save_seconds",
    default=SAVE_SECONDS,
    type=click.FloatRange(min=0),
    metavar="S",
    help=f"Seconds between two saved states; {SAVE_SECONDS:g}.",
)
@click.option(
    "--log", type=click.Path(path_type=Path), metavar="CSV", help="Row per epoch; OUT.csv."
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write TensorBoard's log too, if it is installed.",
)
@click.option(
    "--test-images",
    type=click.Path(path_type=Path),
    metavar="NPZ",
    help="Write the test pictures as the network sees them, for verify --data.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON at the end.")
def command(
    source: str,
    preset: str,
    epochs: int | None,
    changes: tuple[str, ...],
    settings: tuple[str, ...],
    *,
    coefficients: bool | None,
    as_json: bool,
    **options: object,
) -> None:
    """Train a network and write a checkpoint that convert reads.

    Ctrl-C saves the state; the same command with --resume goes on to the same numbers. Started by
    torchrun, all processes share every batch; what it starts again (--max-restarts) resumes.
    """
    hyperparameters = parse_settings(settings)
    if coefficients is not None:
        hyperparameters["coefficients"] = coefficients
    recipe = choose(preset, epochs=epochs, changes=parse_settings(changes))
    request = Request(
        source=source,
        recipe=recipe,
        hyperparameters=hyperparameters,
        **options,  # type: ignore[arg-type]
    )
    _train(request, as_json=as_json)


def _train(request: Request, *, as_json: bool) -> None:
    from legoexport.training.distributed import joined, started_again
    from legoexport.training.loop import Interrupted
    from legoexport.training.run import carry_out
    from legoexport.training.state import state_path

    if started_again():  # by the same command: a state there is its own
        request = replace(request, resumes=state_path(request.out).exists())
    try:
        with joined(request.device) as ranks:
            trained = carry_out(request, ranks)
    except Interrupted:
        click.echo("stopped and saved; the same command with --resume goes on", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None
    if ranks.leads:
        _print(trained, request.out, as_json=as_json)


def _print(trained: Trained, out: Path, *, as_json: bool) -> None:
    if as_json:
        print_json({**asdict(trained), "test_accuracy": trained.test_accuracy})
    else:
        print_text(
            f"{trained.correct_count} of {trained.test_count} test pictures right"
            f" ({trained.test_accuracy:.2%}): {out}"
        )

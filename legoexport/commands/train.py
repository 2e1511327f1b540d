"""``legoexport train``: a LegoNet from pictures."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from legoexport.commands.checkpoint_options import parse_settings
from legoexport.commands.output_options import force_option
from legoexport.commands.quantities import Seconds
from legoexport.host.report import print_json, print_text
from legoexport.training.recipe import PRESETS, choose
from legoexport.training.request import SAVE_SECONDS, TrainingRequest

if TYPE_CHECKING:
    from legoexport.training.run import Trained


@click.command("train")
@click.option("--arch", required=True, metavar="NAME", help="Network, such as lego_vgg16.")
@click.option(
    "--data",
    "source",
    required=True,
    metavar="PATH",
    help="Pictures: a folder or zip archive of train/CLASS/ and test/CLASS/, CIFAR-10 as published,"
    " an .npz, or the word digits.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Checkpoint to write. FILE.state and FILE.csv are written beside it.",
)
@click.option(
    "--preset", default="short", type=click.Choice(list(PRESETS)), help="Recipe to start from."
)
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Passes over the data.")
@click.option(
    "--recipe",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change one value of the preset, such as learning_rate=0.05; repeatable.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a hyperparameter of the network, such as o=2 or m_ratio=0.5; repeatable.",
)
@click.option(
    "--coefficients/--no-coefficients",
    default=None,
    show_default="coefficients",
    help="Whether to learn a coefficient for each choice of a filter.",
)
@click.option("--seed", default=0, type=click.IntRange(min=0), help="Seed of all random numbers.")
@click.option(
    "--device",
    metavar="NAME",
    show_default="an accelerator if there is one, else cpu",
    help="Where to train, such as cpu or cuda.",
)
@click.option(
    "--amp/--no-amp",
    "mixed",
    default=None,
    show_default="amp if the device has bfloat16",
    help="Whether to compute in bfloat16.",
)
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads.")
@click.option(
    "--image-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Scale pictures to N x N pixels.",
)
@click.option(
    "--start",
    type=click.Path(path_type=Path),
    metavar="FILE",
    show_default="random weights",
    help="Checkpoint to start from, such as one written by fit.",
)
@click.option(
    "--teacher",
    type=click.Path(path_type=Path),
    metavar="FILE",
    show_default="the labels alone",
    help="Checkpoint of a trained dense network whose scores are learned too.",
)
@click.option("--resume", "resumes", is_flag=True, help="Continue where an earlier run stopped.")
@click.option(
    "--save-every",
    "save_seconds",
    default=SAVE_SECONDS,
    type=Seconds(min=0),
    metavar="S",
    help="Seconds between two saved states.",
)
@click.option(
    "--log",
    type=click.Path(path_type=Path),
    metavar="CSV",
    show_default="FILE.csv",
    help="Where to write a row for each epoch.",
)
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Also write a TensorBoard log, if TensorBoard is installed.",
)
@click.option(
    "--test-images",
    type=click.Path(path_type=Path),
    metavar="NPZ",
    help="Write the test pictures as the network sees them, for verify --data.",
)
@force_option
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

    Ctrl-C saves the state, and the same command with --resume ends with the same numbers. Under
    torchrun, all processes share every batch, and restarted workers (--max-restarts) resume.
    """
    hyperparameters = parse_settings(settings)
    if coefficients is not None:
        hyperparameters["coefficients"] = coefficients
    recipe = choose(preset, epochs=epochs, changes=parse_settings(changes))
    request = TrainingRequest(
        source=source,
        recipe=recipe,
        hyperparameters=hyperparameters,
        **options,  # type: ignore[arg-type]
    )
    _train(request, as_json=as_json)


def _train(request: TrainingRequest, *, as_json: bool) -> None:
    from legoexport.training.distributed import joined, started_again
    from legoexport.training.loop import Interrupted
    from legoexport.training.run import carry_out
    from legoexport.training.state import state_path

    if started_again():  # by the same command: a state there is its own
        request = replace(request, resumes=state_path(request.out).exists())
    try:
        with joined(request.device) as ranks:
            trained = carry_out(request, ranks)
    except Interrupted as stopped:
        click.echo("stopped and saved; the same command with --resume goes on", err=True)
        raise click.exceptions.Exit(stopped.exit_code) from None
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

"""``legoexport sweep``: a grid of LegoNets trained alike, converted, measured, and drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from legoexport.commands.checkpoint_options import parse_settings
from legoexport.commands.quantities import Seconds
from legoexport.commands.sweep_workers import CLUSTERS, RETRIES_COUNT, Workers, parse_workers
from legoexport.commands.thread_options import THREADS
from legoexport.errors import UsageError
from legoexport.host.report import print_json, print_table, print_text
from legoexport.lego.scales import PRECISIONS, Precision
from legoexport.training.recipe import PRESETS, choose

if TYPE_CHECKING:
    from legoexport.sweep.request import SweepRequest

SWITCH = {"on": True, "off": False}
PRECISION: dict[str, Precision] = {precision: precision for precision in PRECISIONS}
Value = TypeVar("Value")


@click.command("sweep")
@click.option("--arch", default="lego_digits", metavar="NAME", help="LegoNet to train.")
@click.option("--o", "o_values", default="2,4", metavar="N[,N]", help="Input fragments.")
@click.option(
    "--m",
    "m_ratios",
    default="0.125,0.25,0.5",
    metavar="R[,R]",
    help="Lego filters per output channel.",
)
@click.option(
    "--coefficients",
    default="on,off",
    metavar="on,off",
    help="With coefficients, without, or both.",
)
@click.option(
    "--widths",
    default="0.5",
    metavar="R[,R]",
    help="Rivals: the dense twin with this part of its channels, such as 0.35,0.5,0.7; or none.",
)
@click.option(
    "--precision",
    "precisions",
    default="fp32,int8",
    metavar="fp32,int8",
    help="What files compute in; int8 is calibrated with training pictures.",
)
@click.option(
    "--seeds", default="0", metavar="N[,N]", help="Train every network once with each seed."
)
@click.option("--data", "source", metavar="SOURCE", help="Pictures, as for train.")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for checkpoints, files, table and figures.",
)
@click.option("--preset", default="short", type=click.Choice(list(PRESETS)), help="As for train.")
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Passes over the data.")
@click.option("--recipe", "changes", multiple=True, metavar="KEY=VALUE", help="As for train.")
@click.option("--device", metavar="NAME", help="Where to train, such as cpu or cuda.")
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="CPU threads for training."
)
@click.option(
    "--image-size",
    type=click.IntRange(min=1),
    metavar="N",
    help="Scale pictures to N x N pixels.",
)
@click.option(
    "--bench-threads",
    default=1,
    type=THREADS,
    help="Threads of ONNX Runtime for measuring.",
)
@click.option(
    "--bench-seconds",
    default=5.0,
    type=Seconds(min=0, min_open=True),
    metavar="S",
    help="Seconds to measure each file.",
)
@click.option(
    "--workers",
    "workers_count",
    type=click.IntRange(min=1),
    metavar="N",
    help="Train N networks at a time, each in a worker of its own; needs the extra [cluster].",
)
@click.option(
    "--cluster",
    type=click.Choice(CLUSTERS),
    show_default=CLUSTERS[0],
    help="With --workers: processes of this machine, or jobs of SLURM.",
)
@click.option(
    "--slurm",
    "slurm_options",
    multiple=True,
    metavar="KEY[=VALUE]",
    help="With --cluster slurm: an option of sbatch, such as partition=gpu; may be repeated.",
)
@click.option(
    "--retries",
    "retries_count",
    type=click.IntRange(min=0),
    metavar="N",
    show_default=str(RETRIES_COUNT),
    help="With --workers: send a network again whose worker died, N times.",
)
@click.option("--train-only", is_flag=True, help="Leave measuring and drawing to a later call.")
@click.option("--measure-only", is_flag=True, help="Train nothing; measure what is trained.")
@click.option("--measure-again", is_flag=True, help="Measure also what was measured before.")
@click.option("--recommend", is_flag=True, help="Name the network of a finished --out to ship.")
@click.option("--max-size", metavar="SIZE", help="With --recommend: largest file, such as 4MB.")
@click.option("--max-latency", metavar="TIME", help="With --recommend: such as 5ms.")
@click.option("--min-accuracy", metavar="PERCENT", help="With --recommend: such as 90.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
def command(
    o_values: str,
    m_ratios: str,
    coefficients: str,
    widths: str,
    precisions: str,
    seeds: str,
    preset: str,
    epochs: int | None,
    changes: tuple[str, ...],
    *,
    workers_count: int | None,
    cluster: str | None,
    slurm_options: tuple[str, ...],
    retries_count: int | None,
    train_only: bool,
    measure_only: bool,
    measure_again: bool,
    as_json: bool,
    recommend: bool,
    max_size: str | None,
    max_latency: str | None,
    min_accuracy: str | None,
    **options: object,
) -> None:
    """Train every combination and dense rivals, convert and measure each, draw the figures.

    If it is stopped, the same command continues. Calls with --train-only and different --seeds may
    train into one folder side by side. Measure in a later call, while nothing else runs.

    With --workers, trainings are sent to processes of this machine or to SLURM. --out must then be
    a folder that all machines see. Measuring stays here.

    With --recommend nothing is trained: the most accurate network within the limits is named, or
    the one that comes closest.
    """
    from legoexport.commands.sweep_limits import parse_limits, tell_recommendation
    from legoexport.sweep.choice import Limits
    from legoexport.sweep.grid import Grid
    from legoexport.sweep.request import SweepRequest

    limits = parse_limits(max_size, max_latency, min_accuracy)
    if recommend:
        tell_recommendation(options["out"], limits, as_json=as_json)  # type: ignore[arg-type]
        return
    if limits != Limits():
        raise UsageError("sweep: only --recommend takes limits", next_step="add --recommend")
    if options["source"] is None:
        raise UsageError("sweep: --data names the pictures", next_step="give --data, as for train")
    workers = parse_workers(workers_count, cluster, slurm_options, retries_count)
    grid = Grid(
        _values("--o", o_values, int),
        _values("--m", m_ratios, float),
        _values("--coefficients", coefficients, SWITCH.__getitem__),
        _values("--seeds", seeds, int),
        () if widths == "none" else _values("--widths", widths, float),
        _values("--precision", precisions, PRECISION.__getitem__),
    )
    if train_only and (measure_again or measure_only):
        other = "--measure-again" if measure_again else "--measure-only"
        raise UsageError("sweep: --train-only measures nothing", next_step=f"drop {other}")
    if measure_only and workers:
        raise UsageError("sweep: --measure-only trains nothing", next_step="drop --workers")
    recipe = choose(preset, epochs=epochs, changes=parse_settings(changes))
    request = SweepRequest(grid=grid, recipe=recipe, **options)  # type: ignore[arg-type]
    request = _trained_part(request) if measure_only else _train(request, workers)
    if not train_only:
        _measure(request, again=measure_again, as_json=as_json)


def _trained_part(request: SweepRequest) -> SweepRequest:
    from legoexport.sweep.run import trained_part

    part = trained_part(request)
    for design in sorted(part.grid.left_out, key=lambda design: design.name):
        _tell(f"{design.name} is left out: it is not trained with every seed")
    return part


def _train(request: SweepRequest, workers: Workers | None) -> SweepRequest:
    from legoexport.sweep.run import train_all
    from legoexport.training.loop import Interrupted

    try:
        if workers:
            workers.train(request, _tell)
        else:
            train_all(request, _tell)
    except Interrupted as stopped:
        click.echo("stopped and saved; the same command goes on", err=True)
        raise click.exceptions.Exit(stopped.exit_code) from None
    return request


def _measure(request: SweepRequest, *, again: bool, as_json: bool) -> None:
    from legoexport.sweep.run import measure_all
    from legoexport.sweep.table import COLUMNS, cells_of

    swept = measure_all(request, _tell, again=again)
    if as_json:
        print_json([asdict(row) for row in swept.table])
        return
    print_table(request.caption, COLUMNS, cells_of(swept.table))
    print_text("wrote " + ", ".join(map(str, swept.files)))


def _tell(step: str) -> None:
    click.echo(step, err=True)


def _values(name: str, text: str, parse: Callable[[str], Value]) -> tuple[Value, ...]:
    try:
        return tuple(parse(part.strip()) for part in text.split(","))
    except (ValueError, KeyError):
        legal = "values with commas between, such as its default"
        raise UsageError(f"sweep: {name}", received=text, legal=legal) from None

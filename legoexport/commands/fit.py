"""``legoexport fit``: a LegoNet fitted to a trained dense network."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from legoexport.commands.checkpoint_options import checkpoint_options, load_checkpoint
from legoexport.commands.output_options import force_option
from legoexport.errors import UsageError
from legoexport.host.kinds import Kind
from legoexport.host.outputs import Output, check_outputs
from legoexport.host.report import format_count, print_json, print_table, print_text, step_progress

if TYPE_CHECKING:
    from legoexport.training.fit_outputs import OutputOptions
    from legoexport.training.fitted import Fitted


@click.command("fit")
@click.option(
    "--from",
    "source",
    required=True,
    type=click.Path(path_type=Path),
    help="Checkpoint of the trained dense network.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Checkpoint to write.")
@click.option("--o", default=2, help="Input fragments of each layer.")
@click.option("--m-ratio", default=0.5, help="Lego filters per output channel.")
@click.option(
    "--coefficients/--no-coefficients",
    default=True,
    help="Whether each choice of a filter has a coefficient of its own.",
)
@click.option(
    "--data",
    metavar="SOURCE",
    help="Pictures, as for train, to fit outputs on, without labels; the accuracy is printed.",
)
@click.option(
    "--pictures",
    "pictures_count",
    type=click.IntRange(min=2),
    metavar="N",
    show_default="2048, fewer where they are large",
    help="With --data: training pictures that the statistics of the layers are taken of.",
)
@click.option(
    "--fit",
    "to",
    type=click.Choice(["weights", "outputs"]),
    help="What of each dense layer is fitted. Default: outputs if --data is given, else weights.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=0),
    help="With --fit outputs: gradient steps on the scores of the whole network. Default: none.",
)
@click.option("--device", default="cpu", help="Where to compute: cpu, cuda.")
@click.option(
    "--restarts",
    default=4,
    type=click.IntRange(min=1),
    help="Seedings to try for each layer.",
)
@click.option("--seed", default=0, help="Seed of the seedings.")
@checkpoint_options
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(
    source: Path,
    out: Path,
    o: int,
    m_ratio: float,
    data: str | None,
    pictures_count: int | None,
    to: str | None,
    steps: int | None,
    device: str,
    restarts: int,
    seed: int,
    arch: str | None,
    settings: tuple[str, ...],
    factory: str | None,
    input_size: tuple[int, int] | None,
    *,
    coefficients: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Fit a LegoNet to a trained dense network, as a start for training.

    The checkpoint holds the LegoNet of the same architecture; train it further with legoexport
    train. Each Lego layer is fitted by alternating assignment and least squares: first to the
    dense weights, then, with pictures, to the outputs of the dense network.
    """
    from legoexport.models.fitting.cluster import FitOptions
    from legoexport.training.from_dense import fit

    _check_pictures(pictures_count, data)
    inputs = {"--from": source, "--data": None if data is None else Path(data)}
    check_outputs([Output("--out", out, Kind.CHECKPOINT)], inputs, force=force)
    with step_progress() as progress:
        progress("reading the checkpoint")
        dense = load_checkpoint(source, arch, settings, factory, input_size, dense=True)
        result = fit(
            dense,
            o=o,
            m_ratio=m_ratio,
            coefficients=coefficients,
            data=data,
            options=FitOptions(restarts_count=restarts, seed=seed),
            to=to,
            outputs=_output_options(steps, pictures_count, seed),
            device=device,
            progress=progress,
        )
    result.save(out)
    if as_json:
        print_json(_record(result, out))
    else:
        _print(result, out)


def _check_pictures(pictures_count: int | None, data: str | None) -> None:
    if pictures_count is not None and data is None:
        raise UsageError(
            "--pictures counts training pictures of --data",
            received=f"--pictures {pictures_count} without --data",
            next_step="give --data SOURCE, or leave --pictures out",
        )


def _output_options(steps: int | None, pictures_count: int | None, seed: int) -> OutputOptions:
    from legoexport.models.fitting.distill import DistillOptions
    from legoexport.models.fitting.layer_outputs import LayerOptions
    from legoexport.training.fit_outputs import OutputOptions

    whole = DistillOptions(seed=seed)
    if steps is not None:
        whole = replace(whole, steps_count=steps)
    return OutputOptions(LayerOptions(pictures_count, seed=seed), whole)


def _print(result: Fitted, out: Path) -> None:
    columns = ("layer", "filters described", "by Lego filters", "unused", "relative error")
    rows = [
        (
            fit.layer,
            fit.vectors_count,
            fit.m,
            fit.unused_filters_count,
            _percent(fit.relative_error_ratio),
        )
        for fit in result.fits
    ]
    print_table("Lego layers beside the dense ones, Frobenius norm", columns, rows)
    if result.output_fits:
        _print_outputs(result)
    correct = result.correct
    if correct is not None:
        print_text(
            f"before any training {_percent(correct.lego_accuracy)} of"
            f" {format_count(correct.images_count)} held-out pictures are right;"
            f" the dense network has {_percent(correct.dense_accuracy)}"
        )
    elif result.batch_norms_count:
        print_text(
            f"{result.batch_norms_count} batch norms still have the statistics of the dense"
            " network: give --data, or train before use"
        )
    print_text(f"{out} written")


def _print_outputs(result: Fitted) -> None:
    rows = [
        (fit.layer, _percent(fit.clustered_error_ratio), _percent(fit.fitted_error_ratio))
        for fit in result.output_fits
    ]
    columns = ("layer", "weights fitted", "outputs fitted")
    print_table("Relative error of the layers' outputs", columns, rows)


def _percent(ratio: float) -> str:
    return f"{ratio:.1%}"


def _record(result: Fitted, out: Path) -> dict[str, Any]:
    correct = result.correct
    return {
        "out": str(out),
        "arch": result.arch,
        "hyperparameters": dict(result.hyperparameters),
        "dense_sha256": result.dense_sha256,
        "layers": [asdict(fit) for fit in result.fits],
        "outputs": [asdict(fit) for fit in result.output_fits],
        "pictures_count": result.pictures_count,
        "is_calibrated": correct is not None,
        "correct": None if correct is None else asdict(correct),
    }

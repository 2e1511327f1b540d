"""``legoexport calibrate``: measure the constants of the cost model on this machine."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING

import click

from legoexport.commands.output_options import force_option
from legoexport.commands.thread_options import MOST_THREADS
from legoexport.errors import UsageError
from legoexport.host.kinds import Kind
from legoexport.host.machine import describe
from legoexport.host.outputs import Output, check_outputs
from legoexport.host.report import print_json, print_table, print_text, step_progress
from legoexport.host.standard_output import writer_of

if TYPE_CHECKING:
    from legoexport.measure.calibration.run import Calibration
    from legoexport.passes.machine_constants import IntegerRates, Rates

INTEGER_COLUMNS = ("threads", "macs/s", "macs/s in groups", "s/sum", "s/copy", "s/node")
COLUMNS = ("threads", "macs/s", "bytes/s moved", "in tiles", "s/node", "s/byte spilled")


@click.command("calibrate")
@click.option(
    "--threads",
    metavar="1[,N]",
    show_default="1 and one per physical core",
    help="Thread counts to measure, ascending from 1.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    show_default="the one in the cache that convert reads",
    help="File to write; - for standard output.",
)
@force_option
@click.option("--json", "as_json", is_flag=True, help="Print the constants as JSON.")
def command(threads: str | None, out: Path | None, *, force: bool, as_json: bool) -> None:
    """Measure, in about a minute, how fast this machine multiplies, moves and starts.

    From then on convert chooses lowerings for this processor. It keeps one file in the cache,
    named after the processor; --out FILE writes another, for convert --machine FILE.
    """
    counts = _counts(threads)
    if out is not None:
        check_outputs([Output("--out", out, Kind.JSON, streams=True)], {}, force=force)
        write = click.get_current_context().with_resource(writer_of(out))

    from legoexport.measure.calibration.kept import check_keeping, keep
    from legoexport.measure.calibration.run import calibrate

    if out is None:
        check_keeping()
    with step_progress() as tell:
        calibration = calibrate(counts, tell)
    constants = calibration.constants
    if out is None:
        out = keep(constants)
    else:
        write(constants.to_json().encode())
    if as_json:
        print_json(
            {
                **constants.content(),
                "sha256": constants.sha256,
                "disagreement_ratio": calibration.disagreement_ratio,
                "out": str(out),
            }
        )
    else:
        _print(calibration, out)


def _counts(text: str | None) -> tuple[int, ...]:
    if text is None:
        return tuple(sorted({1, describe().default_threads}))
    counts = tuple(int(part) if part.isdecimal() else 0 for part in text.split(","))
    if list(counts) != sorted({1, *counts}) or min(counts) < 1 or max(counts) > MOST_THREADS:
        legal = f"ascending from 1 to {MOST_THREADS} at most, such as 1,2,4"
        raise UsageError("--threads", received=text, legal=legal)
    return counts


def _print(calibration: Calibration, out: Path) -> None:
    constants = calibration.constants
    title = f"{constants.processor}, onnxruntime {constants.onnxruntime}"
    print_table(title, COLUMNS, [_cells(rates) for rates in constants.rates])
    measured = [(one.threads, one.integers) for one in constants.rates if one.integers]
    print_table("in integers", INTEGER_COLUMNS, [_integer_cells(*one) for one in measured])
    print_text(f"repeats agree within a factor of {calibration.disagreement_ratio:.2f}")
    print_text(f"wrote {out}, sha256 {constants.sha256}")


def _cells(rates: Rates) -> list[str]:
    return [
        str(rates.threads),
        f"{rates.macs_per_second:.3g}",
        f"{rates.bytes_per_second:.3g}",
        f"{rates.tile_bytes_per_second:.3g}",
        f"{rates.seconds_per_node:.3g}",
        f"{rates.seconds_per_spilled_byte:.3g}",
    ]


def _integer_cells(threads: int, rates: IntegerRates) -> list[str]:
    return [str(threads), *(f"{number:.3g}" for number in astuple(rates))]

"""``legoexport bench``: how fast an ONNX file runs, where, and how it compares with another."""

from __future__ import annotations

from pathlib import Path

import click

from legoexport.commands import bench_view as view
from legoexport.host.machine import Machine, describe
from legoexport.host.report import print_json, print_table, print_text, step_progress
from legoexport.measure.options import DEFAULT_DURATION_S, BenchOptions
from legoexport.measure.run import bench_model, compare
from legoexport.measure.timing import Comparison, Timing
from legoexport.runtimes import HERE


@click.command("bench")
@click.argument("model", metavar="MODEL.onnx", type=click.Path(path_type=Path))
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Intra-op threads of ONNX Runtime; as many as there are physical cores.",
)
@click.option(
    "--provider",
    default="cpu",
    metavar="NAME",
    help="Execution provider, such as cpu or xnnpack; cpu. Never replaced by another silently.",
)
@click.option(
    "--runtime",
    default=HERE,
    metavar="NAME",
    help="What runs it: cpu, this ONNX Runtime; wasm or xnnpack, onnxruntime-web in Node; cpu.",
)
@click.option(
    "--batch", default=1, type=click.IntRange(min=1), metavar="N", help="Images in a run; 1."
)
@click.option(
    "--duration",
    default=DEFAULT_DURATION_S,
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help=f"Seconds to measure each model; {DEFAULT_DURATION_S:g}.",
)
@click.option(
    "--vs",
    "other",
    type=click.Path(path_type=Path),
    metavar="OTHER.onnx",
    help="Measure another model in turns with this one, and how many times faster it is.",
)
@click.option(
    "--profile", is_flag=True, help="Show time by operator and by part of each Lego layer."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(
    model: Path,
    threads: int | None,
    provider: str,
    runtime: str,
    batch: int,
    duration: float,
    other: Path | None,
    *,
    profile: bool,
    as_json: bool,
) -> None:
    """Measure latency, throughput, session creation, memory and placement of MODEL.onnx.

    Every model runs in a process of its own. ONNX Runtime's threads spin while a run is under way
    and not between runs, so that a model that waits its turn takes no time from the other.
    """
    machine = describe()
    default_threads = machine.default_threads if runtime == HERE else 1
    options = BenchOptions(threads or default_threads, provider, batch, duration, profile, runtime)
    with step_progress() as tell:
        if other is None:
            found: Timing | Comparison = bench_model(model, options, tell)
        else:
            found = compare(model, other, options, tell)
    if as_json:
        print_json(view.as_json(found, machine))
    else:
        _print(found, machine)


def _print(found: Timing | Comparison, machine: Machine) -> None:
    timings = [found.timing, found.other] if isinstance(found, Comparison) else [found]
    for title, columns, rows in view.tables(timings, machine):
        print_table(title, columns, rows)
    if isinstance(found, Comparison):
        print_text(str(found))

"""``legoexport bench``: how fast an ONNX file runs, where, and how it compares with another."""

from __future__ import annotations

from pathlib import Path

import click

from legoexport.commands import bench_view as view
from legoexport.commands.processor_check import warn_of_wrong_sums
from legoexport.commands.quantities import Seconds
from legoexport.commands.thread_options import THREADS, warn_of_waiting
from legoexport.host.machine import Machine, describe
from legoexport.host.report import print_json, print_table, print_text, step_progress
from legoexport.measure.options import DEFAULT_DURATION_S, BenchOptions
from legoexport.measure.run import bench, compare
from legoexport.measure.timing import Comparison, Timing
from legoexport.runtimes import HERE

CPU_PROVIDER = "cpu"


@click.command("bench")
@click.argument("model", metavar="MODEL.onnx", type=click.Path(path_type=Path))
@click.option(
    "--threads",
    type=THREADS,
    show_default="one per physical core",
    help="Intra-op threads of ONNX Runtime.",
)
@click.option(
    "--provider",
    default=CPU_PROVIDER,
    metavar="NAME",
    help="Execution provider, such as cpu or xnnpack. It is never replaced silently.",
)
@click.option(
    "--runtime",
    default=HERE,
    metavar="NAME",
    help="What runs the model: cpu is this ONNX Runtime; wasm and xnnpack are onnxruntime-web.",
)
@click.option(
    "--batch", default=1, type=click.IntRange(min=1), metavar="N", help="Images in a run."
)
@click.option(
    "--duration",
    default=DEFAULT_DURATION_S,
    type=Seconds(min=0, min_open=True),
    metavar="S",
    help="Seconds to measure each model.",
)
@click.option(
    "--vs",
    "other",
    type=click.Path(path_type=Path),
    metavar="OTHER.onnx",
    help="Also measure another model, in turns, and print how many times faster this one is.",
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

    Every model runs in a process of its own. ONNX Runtime's threads spin during a run and not
    between runs, so a model that waits its turn takes no time from the other.

    A warning says if a file for processors with VNNI gives wrong numbers on this one.
    """
    machine = describe()
    default_threads = machine.default_threads if runtime == HERE else 1
    options = BenchOptions(threads or default_threads, provider, batch, duration, profile, runtime)
    if runtime == HERE:
        warn_of_waiting(options.threads, machine.logical_cores)
    with step_progress() as tell:
        if other is None:
            found: Timing | Comparison = bench(model, options, tell)
        else:
            found = compare(model, other, options, tell)
    if runtime == HERE and provider == CPU_PROVIDER:
        for path in filter(None, (model, other)):
            warn_of_wrong_sums(path)
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

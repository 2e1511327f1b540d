"""Race lowerings in ONNX Runtime without its blocked layout: the operators that arm64 runs, on x86.

    python -m benchmarks.unblocked --network vgg16-224 --threads 4 --lowering fragment_batch ...

Which operators run, and how each divides its work among threads, is then as on arm64; the machine
instructions are not, so the figures are ratios of one machine and no latency of a phone. Layers
that a lowering does not serve get what ``convert --target arm64`` gives them. Prints how many times
faster than the dense twin each file is, with the interval over restarts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import click

from benchmarks.files import BUILD, Files, source_fingerprint
from benchmarks.networks import NETWORKS, Network
from benchmarks.race import Course, Runner, run_race
from benchmarks.settings import DEFAULT_BUDGET_MIN, settings_for
from legoexport.errors import CheckFailed, LegoExportError
from legoexport.passes.lowerings import LOWERINGS
from legoexport.target import ARM64

WORKER = (sys.executable, "-m", "benchmarks.workers.serve", "unblocked")
DENSE = "dense twin"
RESTARTS_COUNT = 3
USUAL = ("fragment_batch", "grouped", "per_fragment", "fragment_stack", "winograd_rows_4_stack")


@click.command("unblocked")
@click.option("--network", "names", multiple=True, type=click.Choice(list(NETWORKS)))
@click.option("--lowering", "lowerings", multiple=True, type=click.Choice(list(LOWERINGS)))
@click.option("--threads", "counts", multiple=True, type=click.IntRange(1), default=(1,))
@click.option("--seconds", "model_s", type=click.FloatRange(0.1), default=3.0)
def command(
    names: tuple[str, ...], lowerings: tuple[str, ...], counts: tuple[int, ...], model_s: float
) -> None:
    """Print a line for each network, thread count and lowering."""
    for network in map(NETWORKS.__getitem__, names or ("vgg16-224", "resnet50-224")):
        for threads in counts:
            _race(network, lowerings or USUAL, threads, model_s)


def _race(network: Network, lowerings: Sequence[str], threads: int, model_s: float) -> None:
    settings = settings_for(DEFAULT_BUDGET_MIN, threads)
    files = Files(network, settings, BUILD / source_fingerprint())
    runners = [Runner(DENSE, files.dense, WORKER)] + [
        Runner(name, partial(files.preferring, name, ARM64.name), WORKER) for name in lowerings
    ]
    shape = (1, network.channels, network.size, network.size)
    course = Course(shape, threads, model_s, RESTARTS_COUNT)
    (dense, *others), absent = run_race(runners, course, lambda _: None)
    for one in others:
        ratio = one.speedup_over(dense)
        interval = f"[{ratio.low_ratio:.2f}, {ratio.high_ratio:.2f}]"
        told = f"{network.title}, {threads} threads: {one.label:24}"
        click.echo(f"{told} {ratio.estimate_ratio:.2f}x faster {interval}")
    for missing in absent:
        raise CheckFailed(missing.label, received=missing.reason)


if __name__ == "__main__":
    try:
        command()
    except LegoExportError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)

"""Race what ``--tune`` finds in int8 against the plan that the cost model chooses.

    python -m benchmarks.int8_tuned --network mobilenet-224 --threads 1 --tune 60

The networks are those of ``benchmarks.precision_side``, random and calibrated by random images.
Printed is how many times faster the tuned file is, with the interval over restarts, and how many
layers the two plans lower otherwise.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from benchmarks.networks import NETWORKS, Network
from benchmarks.precision import MEASURED, ROUNDING_ERROR_RATIO
from benchmarks.precision_side import settled
from benchmarks.race import Course, Runner, run_race
from benchmarks.render.tables import interval
from legoexport.compile.pipeline import choose_plan, lower
from legoexport.compile.stages import Prepared
from legoexport.passes.plan import Plan
from legoexport.tune import TuneOptions, tune

RESTARTS_COUNT = 5
DEFAULT, TUNED = "default", "tuned"


@click.command("int8_tuned")
@click.option("--network", "names", multiple=True, type=click.Choice(MEASURED), default=MEASURED)
@click.option("--threads", type=click.IntRange(1), default=1)
@click.option("--tune", "tune_s", type=click.FloatRange(1), default=60.0, help="Seconds.")
@click.option("--seconds", "model_s", type=click.FloatRange(0.1), default=5.0, help="Of each file.")
def command(names: tuple[str, ...], threads: int, tune_s: float, model_s: float) -> None:
    """Print a line for each network."""
    for network in map(NETWORKS.__getitem__, names):
        prepared = settled(network, threads)
        plan, options = choose_plan(prepared), TuneOptions((threads,), tune_s)
        tuned = tune(prepared, options).plan
        with tempfile.TemporaryDirectory() as folder:
            runners = [
                _runner(prepared, one, label, Path(folder))
                for label, one in ((DEFAULT, plan), (TUNED, tuned))
            ]
            click.echo(_raced(network, runners, threads, model_s) + _told(plan, tuned))


def _runner(prepared: Prepared, plan: Plan, label: str, folder: Path) -> Runner:
    path = folder / f"{label}.onnx"
    content = lower(prepared, plan).model.SerializeToString(deterministic=True)
    path.write_bytes(content)
    return Runner(label, lambda: path, largest_error_ratio=ROUNDING_ERROR_RATIO)


def _raced(network: Network, runners: list[Runner], threads: int, model_s: float) -> str:
    shape = (1, network.channels, network.size, network.size)
    course = Course(shape, threads, model_s, RESTARTS_COUNT)
    (default, tuned), _ = run_race(runners, course, lambda _: None)
    return f"{network.title}, {threads} threads: {interval(tuned.speedup_over(default))}"


def _told(plan: Plan, tuned: Plan) -> str:
    others = [name for name, form in plan.lowerings.items() if tuned.lowerings[name] != form]
    return f", {len(others)} of {len(plan.lowerings)} layers otherwise"


if __name__ == "__main__":
    command()

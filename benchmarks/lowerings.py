"""Time every lowering of single Lego layers against the dense convolution, interleaved.

    python benchmarks/lowerings.py --threads 1 --fragments 2 --ratio 0.5 --rounds 5 --machine FILE

A round times each model in a process of its own: sessions that share one spin against each other.
Printed are medians over rounds as multiples of the dense speed, and in float the largest error
against float64 relative to the largest output. Isolated layers keep their weights in cache and pay
for reordering that neighbours would share: judge a plan in the whole model. The last lines hold the
cost model against what was measured, as ``regret.py`` does, with the built-in constants and with
those of each ``--machine FILE`` of ``legoexport calibrate``. A time is the median over rounds;
other work on the machine only adds to it, and with ``--fastest`` the least of all runs counts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.layer_cases import LAYERS, SEED, LayerCase, time_model, write_model
from benchmarks.layer_choices import Timed, chosen, median
from benchmarks.regret import OverRounds, Regret, regret, summary
from legoexport.lego.scales import PRECISIONS, Precision
from legoexport.measure.calibration.kept import read_constants
from legoexport.passes.cost_model import yardstick
from legoexport.passes.machine_constants import BUILT_IN
from runtime_tests.reference import split_transform_merge


def main() -> None:
    """Print a line for each layer and lowering, and what the choices lose."""
    arguments = _arguments()
    machines = {"built-in constants": BUILT_IN}
    machines |= {path.name: read_constants(path) for path in arguments.machine}
    over_rounds: OverRounds = min if arguments.fastest else median
    regrets: dict[tuple[int, str], list[Regret]] = defaultdict(list)
    for sizes in LAYERS:
        case = LayerCase(*sizes, arguments.fragments, arguments.ratio)
        timed, errors = _measure(case, arguments.precision, arguments)
        choices = {name: chosen(timed, constants) for name, constants in machines.items()}
        for name, choice in choices.items():
            regrets[case.kernel, name].append(regret(timed.rounds, choice, over_rounds))
        _print_layer(timed, errors, choices, over_rounds)
    for (kernel, name), found in regrets.items():
        _print_regret(f"{kernel}x{kernel}", name, found, arguments)
    for name in machines:
        found = [one for (_, of), some in regrets.items() if of == name for one in some]
        _print_regret("all", name, found, arguments)


def _measure(
    case: LayerCase, precision: Precision, arguments: argparse.Namespace
) -> tuple[Timed, dict[str, float]]:
    """Time every form of a layer, and return the errors of those in float."""
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for form, site in case.forms([precision]).items():
            models[form] = Path(folder) / f"{form}.onnx"
            write_model(site, form, models[form])
        rounds = _interleaved(models, arguments)
        errors = _errors(models, case) if precision == "fp32" else {}
    return Timed(case, arguments.threads, precision, rounds), errors


def _print_layer(
    timed: Timed, errors: Mapping[str, float], choices: Mapping[str, str], over_rounds: OverRounds
) -> None:
    times = {form: over_rounds(taken) for form, taken in timed.rounds.items()}
    dense = yardstick(times)
    print(f"{timed.case.name}, {dense} {times[dense]:.3f} ms")
    for form, taken in sorted(times.items(), key=lambda item: item[1]):
        choosers = [name for name, choice in choices.items() if choice == form]
        mark = f"  <- {', '.join(choosers)}" if choosers else ""
        error = f"   error {errors[form]:.1e}" if form in errors else ""
        print(f"  {form:24} {times[dense] / taken:5.2f}x{error}{mark}", flush=True)


def _print_regret(
    layers: str, name: str, regrets: Sequence[Regret], arguments: argparse.Namespace
) -> None:
    told = f"{layers}, {arguments.precision}, {arguments.threads} threads, {name}"
    print(f"{told}: the cost model's choice takes {summary(regrets)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Time every lowering of single Lego layers.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32")
    parser.add_argument("--fragments", type=int, default=2, help="o")
    parser.add_argument("--ratio", type=float, default=0.5, help="Lego filters per output, m / n")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="for one model in one round")
    parser.add_argument("--fastest", action="store_true", help="count the least time, no median")
    parser.add_argument(
        "--machine", type=Path, action="append", default=[], help="of legoexport calibrate --out"
    )
    return parser.parse_args()


def _interleaved(
    models: Mapping[str, Path], arguments: argparse.Namespace
) -> dict[str, list[float]]:
    what = "least_ms" if arguments.fastest else "latency_ms"
    rounds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(arguments.rounds):
        for name, path in models.items():
            rounds[name].append(time_model(path, arguments.threads, arguments.seconds)[what])
    return rounds


def _errors(models: Mapping[str, Path], case: LayerCase) -> dict[str, float]:
    shape = (1, case.channels, case.size, case.size)
    x = np.random.default_rng(SEED).standard_normal(shape).astype(np.float32)
    exact = split_transform_merge(x.astype(np.float64), case.frozen)
    largest = np.abs(exact).max()
    return {
        name: float(np.abs(_run(path, x) - exact).max() / largest) for name, path in models.items()
    }


def _run(path: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    result: NDArray[np.float32] = session.run(None, {"input": x})[0]
    return result


if __name__ == "__main__":
    main()

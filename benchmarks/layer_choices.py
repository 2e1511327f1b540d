"""Hold cost models against measured times of single layers, and fit their constants.

    python -m benchmarks.layer_choices times.json --machine machine.json --fit fitted.json

``times.json`` is what ``benchmarks.layer_times`` wrote, on this machine or on another;
``benchmarks/results/layer_times*`` are those of two. Printed is,
for each number of threads and each precision, how much slower the choices are than the best
measured forms. ``--fit`` fits the constants to the times themselves, and writes them as
``legoexport convert --machine`` takes them; ``--details`` prints every layer where a choice loses.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.layer_cases import LayerCase
from benchmarks.regret import OverRounds, Regret, Rounds, regret, summary
from legoexport.lego.scales import PRECISIONS, Precision
from legoexport.measure.calibration.fit import fit_integer_rates, fit_rates
from legoexport.measure.calibration.kept import read_constants
from legoexport.passes.cost_model import Amounts
from legoexport.passes.integer_plan import integer_plan
from legoexport.passes.lowerings import INT8_LOWERINGS, find_lowering
from legoexport.passes.machine_constants import BUILT_IN, MachineConstants
from legoexport.passes.preference import Preference, preferred_plan
from legoexport.target import CPU

SHOWN_RATIO = 1.02
SIZES = [field.name for field in fields(LayerCase)]


@dataclass(frozen=True)
class Timed:
    """A layer and what its forms took.

    Attributes:
        case: The layer.
        threads: Intra-op threads.
        precision: What the forms compute in.
        rounds: Milliseconds by form.
    """

    case: LayerCase
    threads: int
    precision: Precision
    rounds: Rounds


def main() -> None:
    """Print the slowdown of each choice."""
    arguments = _arguments()
    contents = [read_file(path) for path in arguments.times]
    what = "least_ms" if arguments.fastest else "latency_ms"
    over_rounds: OverRounds = min if arguments.fastest else median
    timed = read_times([row for content in contents for row in content["times"]], what)
    machines = {"built-in constants": BUILT_IN}
    machines |= {path.name: read_constants(path) for path in arguments.machine}
    if arguments.fit:
        fitted = fit(timed, contents[0]["machine"], over_rounds)
        arguments.fit.write_text(fitted.to_json())
        machines["fitted constants"] = fitted
    for name, constants in machines.items():
        _report(name, constants, timed, over_rounds, details=arguments.details)


def read_file(path: Path) -> dict[str, Any]:
    """Read a file of ``benchmarks.layer_times``, compressed if its name ends in ``.gz``."""
    content = path.read_bytes()
    found: dict[str, Any] = json.loads(
        gzip.decompress(content) if path.suffix == ".gz" else content
    )
    return found


def read_times(rows: Iterable[Mapping[str, Any]], what: str) -> list[Timed]:
    """Group rows by layer, threads and precision, with the rounds that all forms have."""
    found: dict[tuple[LayerCase, int, Precision], dict[str, list[float]]] = {}
    for row in rows:
        case = LayerCase(**{name: row[name] for name in SIZES})
        precision: Precision = "int8" if row["form"] in INT8_LOWERINGS else "fp32"
        forms = found.setdefault((case, row["threads"], precision), defaultdict(list))
        forms[row["form"]].append(row[what])
    return [Timed(*key, _complete(forms)) for key, forms in found.items()]


def fit(
    timed: Sequence[Timed], machine: Mapping[str, Any], over_rounds: OverRounds
) -> MachineConstants:
    """Fit the rates of each number of threads to all times of both precisions.

    Raises:
        CheckFailed: The times do not tell the rates apart.
    """
    rates = []
    for threads in sorted({one.threads for one in timed}):
        floats, integers = (
            [
                (one.case, form, 1e-3 * over_rounds(taken))
                for one in timed
                if (one.threads, one.precision) == (threads, precision)
                for form, taken in one.rounds.items()
            ]
            for precision in PRECISIONS
        )
        amounts = [Amounts.of(find_lowering(form).footprint(case.site)) for case, form, _ in floats]
        work = [INT8_LOWERINGS[form].work(case.integer_site) for case, form, _ in integers]
        found = (
            fit_rates(threads, amounts, [taken_s for *_, taken_s in floats])
            if floats
            else replace(BUILT_IN.with_threads(threads), threads=threads)
        )
        of_integers = fit_integer_rates(work, [taken_s for *_, taken_s in integers])
        rates.append(replace(found, integers=of_integers))
    return MachineConstants(machine["processor"], machine["onnxruntime"], tuple(rates))


def chosen(one: Timed, constants: MachineConstants) -> str:
    """Return what the cost model chooses for a layer, among the forms that were timed."""
    wish = Preference(threads=(one.threads,), constants=constants)
    if one.precision == "int8":
        timed = tuple(name for name in CPU.int8_lowerings if name in one.rounds)
        target = replace(CPU, int8_lowerings=timed)
        plan = integer_plan([one.case.integer_site], target, wish)
    else:
        plan = preferred_plan([one.case.site], CPU, wish)
    return plan.lowerings["layer"]


def _report(
    name: str,
    constants: MachineConstants,
    timed: Sequence[Timed],
    over_rounds: OverRounds,
    *,
    details: bool,
) -> None:
    groups: dict[tuple[int, Precision], list[Regret]] = defaultdict(list)
    for one in timed:
        choice = chosen(one, constants)
        found = regret(one.rounds, choice, over_rounds)
        groups[one.threads, one.precision].append(found)
        if details and found.plain > SHOWN_RATIO:
            total = {form: over_rounds(taken) for form, taken in one.rounds.items()}
            best = min(total, key=total.__getitem__)
            print(
                f"  {one.case}, {one.threads} threads: {choice} {total[choice]:.3f} ms,"
                f" {best} {total[best]:.3f} ms, {found.plain:.2f} times"
            )
    for (threads, precision), regrets in sorted(groups.items()):
        told = f"{name}, {threads} threads, {precision}, {len(regrets)} layers"
        print(f"{told}: {summary(regrets)}")


def _complete(forms: Mapping[str, list[float]]) -> Rounds:
    """Leave out the last rounds of those that came further, so that all have the same rounds."""
    count = min(map(len, forms.values()))
    return {form: taken[:count] for form, taken in forms.items()}


def median(taken: Sequence[float]) -> float:
    """Return the median as a plain number."""
    return float(np.median(taken))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Hold cost models against measured times.")
    parser.add_argument("times", type=Path, nargs="+", help="of benchmarks.layer_times")
    parser.add_argument("--machine", type=Path, action="append", default=[], help="constants")
    parser.add_argument("--fit", type=Path, help="write constants fitted to these times")
    parser.add_argument("--fastest", action="store_true", help="count the least time, no median")
    parser.add_argument("--details", action="store_true", help="print where a choice loses")
    return parser.parse_args()


if __name__ == "__main__":
    main()

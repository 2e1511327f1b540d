"""Time the samples in worker processes that take turns, and fit the rates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from legoexport.errors import CheckFailed
from legoexport.host.machine import describe
from legoexport.host.progress import Progress
from legoexport.measure.calibration.fit import fit_integer_rates, fit_rates
from legoexport.measure.calibration.samples import SAMPLES
from legoexport.measure.contender import start
from legoexport.measure.options import BenchOptions
from legoexport.passes.machine_constants import MachineConstants, Rates
from legoexport.signals import temporary_folder

LEAST_ROUNDS_COUNT = 4
MOST_ROUNDS_COUNT = 12
# Of rounds, for one number of threads; a machine that cannot agree with itself by then is busy.
MOST_ROUNDS_S = 30.0
SLICE_S = 0.1
# Two undisturbed rounds differ by a few percent. Where a layer finds no second one almost as fast
# as its best, that one may have been disturbed too, and another round is worth its time.
GOOD_DISAGREEMENT_RATIO = 1.03
MOST_DISAGREEMENT_RATIO = 1.15

Rounds = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Calibration:
    """Constants, and how far they can be relied on.

    Attributes:
        constants: Of this machine.
        disagreement_ratio: How many times its best round a layer took in its second-best, at
            least 1; the largest over layers and thread counts.
    """

    constants: MachineConstants
    disagreement_ratio: float


def calibrate(threads: Sequence[int], progress: Progress = lambda _: None) -> Calibration:
    """Measure the constants of this machine, in 15 to 40 seconds per number of threads.

    Args:
        threads: Thread counts, ascending from 1.
        progress: Called with the name of each step before it starts.

    Raises:
        UsageError: The counts are not legal.
        CheckFailed: Rounds do not agree, because something else keeps the machine busy.
    """
    rates, ratios = [], []
    with temporary_folder("legoexport-calibrate-") as folder:
        progress("building layers to measure")
        paths = [sample.write(folder) for sample in SAMPLES]
        for count in threads:
            rounds_s = _measure(paths, count, progress)
            ratios.append(check_agreement(rounds_s))
            rates.append(rates_of(count, rounds_s))
    machine = describe()
    constants = MachineConstants(machine.cpu_model, machine.onnxruntime, tuple(rates))
    return Calibration(constants, max(ratios))


def rates_of(threads: int, rounds_s: Rounds) -> Rates:
    """Fit the rates to what each of ``SAMPLES`` took in its best round (s).

    Other work on the machine only adds to a time, and seldom to the same layer in every round.

    Raises:
        CheckFailed: As for ``fit_rates`` and ``fit_integer_rates``.
    """
    best_s = [min(taken_s) for taken_s in zip(*rounds_s, strict=True)]
    floats, integers = (
        [pair for pair in zip(SAMPLES, best_s, strict=True) if pair[0].in_integers == wanted]
        for wanted in (False, True)
    )
    found = fit_rates(threads, [one.amounts for one, _ in floats], [s for _, s in floats])
    of_integers = fit_integer_rates([one.work for one, _ in integers], [s for _, s in integers])
    return replace(found, integers=of_integers)


def check_agreement(rounds_s: Rounds) -> float:
    """Return the largest ratio, over layers, of the second-best round to the best.

    Raises:
        CheckFailed: It is larger than ``MOST_DISAGREEMENT_RATIO``; the layer is named.
    """
    ratios = _disagreements(rounds_s)
    worst = max(ratios)
    if worst > MOST_DISAGREEMENT_RATIO:
        name = SAMPLES[ratios.index(worst)].name
        raise CheckFailed(
            f"this machine is too busy to be measured: rounds of {name} do not agree",
            received=f"{worst:.2f} times as long in the second-best round as in the best",
            legal=f"at most {MOST_DISAGREEMENT_RATIO} times",
            next_step="end what else runs, plug a laptop in, and calibrate again",
        )
    return worst


def _measure(paths: Sequence[Path], threads: int, progress: Progress) -> Rounds:
    """Return for each round what each file took (s) in its fastest run."""
    options = BenchOptions(threads, duration_s=SLICE_S)
    with ExitStack() as stack:
        contenders = []
        for number, path in enumerate(paths, 1):
            progress(f"{threads} threads: loading layer {number} of {len(paths)}")
            contenders.append(start(stack, path, options, lambda _: None))
        rounds_s: list[list[float]] = []
        deadline = time.perf_counter() + MOST_ROUNDS_S
        while not _is_enough(rounds_s, is_late=time.perf_counter() > deadline):
            progress(f"{threads} threads: round {len(rounds_s) + 1}, at most {MOST_ROUNDS_COUNT}")
            taken_ms = [min(contender.client.measure_ms(SLICE_S)) for contender in contenders]
            rounds_s.append([1e-3 * ms for ms in taken_ms])
        return rounds_s


def _is_enough(rounds_s: Rounds, *, is_late: bool) -> bool:
    if len(rounds_s) < LEAST_ROUNDS_COUNT:
        return False
    agree = max(_disagreements(rounds_s)) <= GOOD_DISAGREEMENT_RATIO
    return agree or is_late or len(rounds_s) >= MOST_ROUNDS_COUNT


def _disagreements(rounds_s: Rounds) -> list[float]:
    """Second-best over best, for each of ``SAMPLES``."""
    ordered = [sorted(taken_s) for taken_s in zip(*rounds_s, strict=True)]
    return [second / best for best, second, *_ in ordered]

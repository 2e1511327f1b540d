"""Measure one model, or two that take turns; each in a worker process of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from statistics import median

from legoexport.host.progress import Progress
from legoexport.measure.contender import Contender, start
from legoexport.measure.options import BenchOptions
from legoexport.measure.profile import Profile
from legoexport.measure.statistics import ratio_of_medians
from legoexport.measure.timing import Comparison, Timing

__all__ = ["BenchOptions", "bench", "compare", "profile_model"]

Rounds = list[list[list[float]]]

# Two processes of one file differ lastingly: by 2 % for a tiny graph on x86-64, ONNX Runtime 1.32.
# No number of rounds shows that; starting again does.
RESTARTS_COUNT = 5
ROUNDS_COUNT = 5
LEAST_ROUNDS_COUNT = 2
# Between slices a worker notices that its parent is gone, and the machine has no time to change.
LONGEST_SLICE_S = 0.5


def bench(path: Path | str, options: BenchOptions, progress: Progress = lambda _: None) -> Timing:
    """Measure the model at ``path``.

    Args:
        path: An ONNX file.
        options: How to measure.
        progress: Called with the name of each step before it starts.

    Raises:
        UsageError: ONNX Runtime lacks the provider or does not load the file, or the file does not
            take the batch.
        CheckFailed: The run fails, or nothing of it is placed on the provider.
    """
    with ExitStack() as stack:
        contenders = _start_all(stack, [Path(path)], options, progress)
        rounds = _take_turns(contenders, least_count=1)
        return contenders[0].timing([ms for (slice_ms,) in rounds for ms in slice_ms], progress)


def profile_model(
    path: Path, options: BenchOptions, progress: Progress = lambda _: None
) -> Profile:
    """Take runs of the model at ``path`` apart, for about the duration, and measure nothing else.

    Raises:
        UsageError: As for ``bench``.
        CheckFailed: As for ``bench``.
    """
    with ExitStack() as stack:
        (contender,) = _start_all(stack, [path], replace(options, profile=True), progress)
        return contender.profile()


def compare(
    path: Path | str,
    other: Path | str,
    options: BenchOptions,
    progress: Progress = lambda _: None,
    *,
    restarts_count: int = RESTARTS_COUNT,
) -> Comparison:
    """Measure two models that take turns in short slices, so that both meet the same machine.

    The model that waits is idle, because threads of ONNX Runtime spin only during a run
    (``session.force_spinning_stop``, also when one model is measured by itself). Both processes are
    started afresh several times: two processes of one file differ lastingly, by some percent.

    Args:
        path: An ONNX file.
        other: The one it is compared with.
        options: How to measure; the duration is shared by the restarts.
        progress: Called with the name of each step before it starts.
        restarts_count: How often both start afresh.

    Raises:
        UsageError: As for ``bench``.
        CheckFailed: As for ``bench``.
    """
    paths = (Path(path), Path(other))
    share = replace(options, duration_s=options.duration_s / restarts_count)
    restarts: list[Rounds] = []
    for _ in range(restarts_count - 1):
        with ExitStack() as stack:
            restarts.append(
                _take_turns(_start_all(stack, paths, share, progress), LEAST_ROUNDS_COUNT)
            )
    with ExitStack() as stack:  # the last ones also answer what else there is to know
        contenders = _start_all(stack, paths, share, progress)
        restarts.append(_take_turns(contenders, LEAST_ROUNDS_COUNT))
        return _comparison(contenders, restarts, progress)


def _start_all(
    stack: ExitStack, paths: Sequence[Path], options: BenchOptions, progress: Progress
) -> list[Contender]:
    contenders = [start(stack, path, options, progress) for path in paths]
    progress(f"measuring {' and '.join(path.name for path in paths)}")
    return contenders


def _comparison(
    contenders: Sequence[Contender], restarts: Sequence[Rounds], progress: Progress
) -> Comparison:
    rounds = [*chain.from_iterable(restarts)]
    timing, other_timing = (
        contender.timing([*chain.from_iterable(slices)], progress)
        for contender, slices in zip(contenders, zip(*rounds, strict=True), strict=True)
    )
    speedup = ratio_of_medians([[_pair_ms(one) for one in restart] for restart in restarts])
    return Comparison(timing, other_timing, speedup, len(rounds))


def _pair_ms(one_round: Sequence[Sequence[float]]) -> tuple[float, float]:
    first_ms, second_ms = map(median, one_round)
    return second_ms, first_ms


def _take_turns(contenders: Sequence[Contender], least_count: int) -> Rounds:
    """Return for each round the latencies (ms) of each model, in the order of ``contenders``."""
    duration_s = contenders[0].options.duration_s
    slice_s = min(duration_s / ROUNDS_COUNT, LONGEST_SLICE_S)
    rounds: Rounds = []
    deadline = time.perf_counter() + duration_s * len(contenders)
    while len(rounds) < least_count or time.perf_counter() < deadline:
        rounds.append([contender.client.measure_ms(slice_s) for contender in contenders])
    return rounds

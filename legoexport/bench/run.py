"""Measure one model, or two that take turns; each in a worker process of its own."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from statistics import median

from legoexport.bench.client import Client
from legoexport.bench.options import BenchOptions
from legoexport.bench.statistics import ratio_of_medians
from legoexport.bench.subject import Tell, start
from legoexport.bench.timing import Comparison, Timing

__all__ = ["BenchOptions", "bench_model", "compare"]

ROUNDS_COUNT = 25
LEAST_ROUNDS_COUNT = 10  # fewer pairs give no interval worth the name
# Between slices a worker notices that its parent is gone, and the machine has no time to change.
LONGEST_SLICE_S = 0.5


def bench_model(path: Path, options: BenchOptions, tell: Tell = lambda _: None) -> Timing:
    """Measure the model at ``path``.

    Args:
        path: An ONNX file.
        options: How to measure.
        tell: Called with the step under way.

    Raises:
        UsageError: ONNX Runtime lacks the provider or does not load the file, or the file does not
            take the batch.
        CheckFailed: The run fails, or nothing of it is placed on the provider.
    """
    with ExitStack() as stack:
        subject = start(stack, path, options, tell)
        tell(f"measuring {path.name}")
        rounds = _take_turns([subject.client], options.duration_s, least_count=1)
        return subject.timing([ms for (slice_ms,) in rounds for ms in slice_ms], tell)


def compare(
    path: Path, other: Path, options: BenchOptions, tell: Tell = lambda _: None
) -> Comparison:
    """Measure two models that take turns in short slices, so that both meet the same machine.

    The one that waits is idle: threads of ONNX Runtime spin only while a run is under way
    (``session.force_spinning_stop``), also where one model is measured by itself.

    Raises:
        UsageError: As for ``bench_model``.
        CheckFailed: As for ``bench_model``.
    """
    with ExitStack() as stack:
        subjects = [start(stack, one, options, tell) for one in (path, other)]
        tell(f"measuring {path.name} and {other.name} in turns")
        clients = [subject.client for subject in subjects]
        rounds = _take_turns(clients, options.duration_s, least_count=LEAST_ROUNDS_COUNT)
        firsts, seconds = zip(*rounds, strict=True)
        pairs_ms = [(median(second), median(first)) for first, second in rounds]
        timing, other_timing = (
            subject.timing([*chain.from_iterable(slices)], tell)
            for subject, slices in zip(subjects, (firsts, seconds), strict=True)
        )
        return Comparison(timing, other_timing, ratio_of_medians(pairs_ms), len(rounds))


def _take_turns(
    clients: Sequence[Client], duration_s: float, *, least_count: int
) -> list[list[list[float]]]:
    """Return for each round the latencies (ms) of each model, in the order of ``clients``."""
    slice_s = min(duration_s / ROUNDS_COUNT, LONGEST_SLICE_S)
    rounds: list[list[list[float]]] = []
    deadline = time.perf_counter() + duration_s * len(clients)
    while len(rounds) < least_count or time.perf_counter() < deadline:
        rounds.append([client.measure_ms(slice_s) for client in clients])
    return rounds

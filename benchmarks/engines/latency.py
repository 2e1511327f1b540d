"""A file beside its dense twin in one engine: the two take turns, one process each, one thread."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.engines.client import Client, start
from benchmarks.engines.engines import Engine
from benchmarks.engines.models import Case
from benchmarks.engines.records import Latency, Pair
from legoexport.errors import CheckFailed


@dataclass(frozen=True)
class Course:
    """How long a pair is measured.

    Attributes:
        starts_count: How often both processes start afresh.
        rounds_count: How often the two take turns in a start.
        turn_s: Seconds of a turn.
    """

    starts_count: int = 5
    rounds_count: int = 3
    turn_s: float = 0.1


def measure(engine: Engine, python: Path, dense: Case, lego: Case, course: Course) -> Latency:
    """Measure a file beside its dense twin.

    Raises:
        CheckFailed: The engine does not run one of them.
    """
    starts_ms = []
    for _ in range(course.starts_count):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            both = [
                stack.enter_context(start(engine, python, case, Path(folder, f"{i}.npy")))
                for i, case in enumerate((dense, lego))
            ]
            starts_ms.append(_take_turns(both, course))
    return Latency(engine.name, both[1].version, lego.network, lego.target or "", tuple(starts_ms))


def _take_turns(both: list[Client], course: Course) -> tuple[Pair, ...]:
    for client in both:
        client.wait()
        if client.message:
            raise CheckFailed("a file that is timed has to run", received=client.message)
        client.measure_ms(course.turn_s)  # caches and clocks
    rounds = [
        [median(one.measure_ms(course.turn_s)) for one in both] for _ in range(course.rounds_count)
    ]
    return tuple((dense_ms, lego_ms) for dense_ms, lego_ms in rounds)

"""Records as a measurement would leave them, with figures that are easy to check."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.labels import DEFAULT, DENSE, NAIVE, TUNED
from benchmarks.records import Absent, Entry, LayerTime, Profile, Race, Taken

MACHINE = {
    "cpu_model": "A processor",
    "architecture": "x86_64",
    "logical_cores": 8,
    "physical_cores": 4,
    "memory_bytes": 16_000_000_000,
    "os": "Linux 6",
    "python": "3.11.7",
    "onnxruntime": "1.32.0",
}
LATENCIES_MS = {DENSE: 8.0, NAIVE: 6.0, DEFAULT: 4.0, TUNED: 2.0, "MNN, dense": 3.0}
RESTARTS_COUNT, ROUNDS_COUNT = 3, 2
ABSENT = Absent("OpenVINO, dense", "OpenVINO is not installed")

MakeRace = Callable[..., Race]


@pytest.fixture(scope="session")
def taken() -> Taken:
    return Taken("2026-01-02", MACHINE, {"torch": "2.13.0"}, "python -m benchmarks", "abc", 25.0)


@pytest.fixture(scope="session")
def make_race(taken: Taken) -> MakeRace:
    """Make a race whose rounds are all alike, but for a factor that all models share."""

    def make(subject: str = "Net@32", threads: int = 1, batch_size: int = 1) -> Race:
        entries = tuple(_entry(label, ms) for label, ms in LATENCIES_MS.items())
        return Race(subject, threads, batch_size, entries, (ABSENT,), taken)

    return make


def _entry(label: str, latency_ms: float) -> Entry:
    shared = [
        [1.0 + restart + 0.1 * i for i in range(ROUNDS_COUNT)] for restart in range(RESTARTS_COUNT)
    ]
    restarts = tuple(tuple(latency_ms * slow for slow in rounds) for rounds in shared)
    return Entry(label, 1_000_000, None, 1e-6, restarts)


@pytest.fixture(scope="session")
def profile(taken: Taken) -> Profile:
    times = (
        LayerTime("features.3", "transform", 5.0),
        LayerTime("features.3", "merge", 2.0),
        LayerTime("features.3", "reorder", 1.0),
        LayerTime("features.3", "weights", 0.25),
        LayerTime("other", "", 0.5),
    )
    return Profile("Net@32", TUNED, 1, times, taken)

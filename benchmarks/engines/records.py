"""What an engine made of a file, as it is kept and shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.files import ROOT
from legoexport.host.atomic import write_bytes
from legoexport.measure.statistics import RatioInterval, ratio_of_medians

RESULTS = ROOT / "benchmarks" / "results" / "engines.json"
# Float32 sums of some thousand products in another order, relative to the largest score.
LARGEST_ERROR_RATIO = 1e-4
# Median latencies (ms) of a round: of the dense twin, and of the file.
Pair = tuple[float, float]


@dataclass(frozen=True)
class Outcome:
    """One file in one engine.

    Attributes:
        engine: Its name.
        version: What it calls itself; empty if it could not be asked.
        network: Name of the network.
        target: What the file was made for; None for the dense twin.
        error_ratio: Largest error over the largest score of PyTorch in float64; None if it did not
            run.
        message: What the engine said; empty if it ran.
    """

    engine: str
    version: str
    network: str
    target: str | None
    error_ratio: float | None
    message: str = ""

    @property
    def key(self) -> tuple[str, str, str | None]:
        """What was run, whatever came out."""
        return self.engine, self.network, self.target

    @property
    def is_right(self) -> bool:
        """Whether it ran and gave the numbers of the network."""
        return self.error_ratio is not None and self.error_ratio <= LARGEST_ERROR_RATIO


@dataclass(frozen=True)
class Latency:
    """A file beside its dense twin in one engine.

    Attributes:
        engine: Its name.
        version: What it calls itself.
        network: Name of the network.
        target: What the file was made for.
        starts_ms: For each start of both processes, the median latencies of each round.
    """

    engine: str
    version: str
    network: str
    target: str
    starts_ms: tuple[tuple[Pair, ...], ...]

    @property
    def key(self) -> tuple[str, str]:
        """What was timed, whatever came out."""
        return self.engine, self.network

    @property
    def speedup(self) -> RatioInterval:
        """How many times faster the file is than its dense twin."""
        return ratio_of_medians(self.starts_ms)


@dataclass(frozen=True)
class Absent:
    """An engine that was not tried, and why."""

    engine: str
    reason: str


@dataclass(frozen=True)
class Table:
    """All that was found, and where it comes from.

    Attributes:
        machine: What ran, in words.
        date: When, as YYYY-MM-DD.
        outcomes: By engine, network and target, in the order of the document.
        latencies: By engine and network, in the order of the document.
        timed: Machine and date of the latencies, in words; empty if there are none.
        absent: Engines that do not install.
    """

    machine: str
    date: str
    outcomes: tuple[Outcome, ...]
    latencies: tuple[Latency, ...] = ()
    timed: str = ""
    absent: tuple[Absent, ...] = ()

    def save(self, path: Path) -> None:
        """Write JSON that ``load`` reads."""
        write_bytes(path, (json.dumps(asdict(self), indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Table:
        """Read what ``save`` wrote."""
        content: Mapping[str, Any] = json.loads(path.read_text())
        return cls(
            content["machine"],
            content["date"],
            tuple(Outcome(**row) for row in content["outcomes"]),
            tuple(_latency(row) for row in content["latencies"]),
            content["timed"],
            tuple(Absent(**row) for row in content["absent"]),
        )


def _latency(row: Mapping[str, Any]) -> Latency:
    starts_ms = tuple(tuple((a, b) for a, b in rounds) for rounds in row["starts_ms"])
    return Latency(**{**row, "starts_ms": starts_ms})

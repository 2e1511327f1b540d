"""What an engine made of a file, as it is kept and shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.files import ROOT
from legoexport.host.atomic import write_bytes

RESULTS = ROOT / "benchmarks" / "results" / "engines.json"
# Float32 sums of some thousand products in another order, relative to the largest score.
LARGEST_ERROR_RATIO = 1e-4


@dataclass(frozen=True)
class Outcome:
    """One file in one engine.

    Attributes:
        engine: Its name.
        version: Its version.
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
class Table:
    """All outcomes, and where they come from.

    Attributes:
        machine: What ran, in words.
        date: When, as YYYY-MM-DD.
        outcomes: By engine, network and target, in the order of the document.
    """

    machine: str
    date: str
    outcomes: tuple[Outcome, ...]

    def save(self, path: Path) -> None:
        """Write JSON that ``load`` reads."""
        write_bytes(path, (json.dumps(asdict(self), indent=1) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> Table:
        """Read what ``save`` wrote."""
        content: Mapping[str, Any] = json.loads(path.read_text())
        outcomes: Iterable[Mapping[str, Any]] = content["outcomes"]
        rows = tuple(Outcome(**row) for row in outcomes)
        return cls(content["machine"], content["date"], rows)

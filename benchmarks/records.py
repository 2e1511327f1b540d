"""What was measured, as frozen records; the document is made from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from statistics import median
from typing import Any

from legoexport.errors import UsageError
from legoexport.measure.statistics import RatioInterval, ratio_of_medians

Restarts = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Taken:
    """When and where a record was taken.

    Attributes:
        date: ISO date.
        machine: The machine, as ``legoexport.host.machine`` describes it.
        versions: Versions of the runtimes beside ONNX Runtime.
        command: What was typed.
        source: Fingerprint of the passes that made the files.
        budget_min: Minutes of a full run, which decide how long each model was measured.
    """

    date: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    command: str
    source: str
    budget_min: float

    def repeats(self, other: Taken) -> bool:
        """Whether it would measure the same as ``other`` did, with no more care."""
        same = (self.source, self.machine) == (other.source, other.machine)
        return same and self.budget_min <= other.budget_min


@dataclass(frozen=True)
class Entry:
    """One model of a race.

    Attributes:
        label: Who made and ran it, such as ``MNN, dense``.
        file_size_bytes: What is shipped.
        loaded_bytes: Memory that loading added to its process, where the system says.
        error_ratio: Largest difference from the reference, over the reference's largest output.
        restarts_ms: For each restart, the median latency of each round.
    """

    label: str
    file_size_bytes: int
    loaded_bytes: int | None
    error_ratio: float
    restarts_ms: Restarts

    def __post_init__(self) -> None:
        """Refuse what no clock gives."""
        rounds_ms = [*chain.from_iterable(self.restarts_ms)]
        if not self.restarts_ms or not all(self.restarts_ms) or min(rounds_ms) <= 0:
            raise UsageError(
                f"{self.label}: latencies", received=self.restarts_ms, legal="positive, in rounds"
            )

    @property
    def latency_ms(self) -> float:
        """Median over all rounds."""
        return median(chain.from_iterable(self.restarts_ms))

    def speedup_over(self, other: Entry) -> RatioInterval:
        """Return how many times faster it is than ``other``, from rounds they shared."""
        return ratio_of_medians(
            [
                list(zip(slower, faster, strict=True))
                for slower, faster in zip(other.restarts_ms, self.restarts_ms, strict=True)
            ]
        )


@dataclass(frozen=True)
class Absent:
    """A model that was not timed, and why."""

    label: str
    reason: str


@dataclass(frozen=True)
class Race:
    """Models of one network that took turns.

    Attributes:
        subject: What ran, such as the name of a network or a point of a curve.
        threads: Intra-op threads.
        batch_size: Images in a run.
        entries: Those that were timed, the reference first.
        absent: Those that were not.
        taken: When and where.
    """

    subject: str
    threads: int
    batch_size: int
    entries: tuple[Entry, ...]
    absent: tuple[Absent, ...]
    taken: Taken

    @property
    def key(self) -> str:
        """Names the race among those of its part."""
        return f"{self.subject}, batch {self.batch_size}, threads {self.threads}"

    def find(self, label: str) -> Entry | None:
        """Return the entry of that label, or None if it was not timed."""
        return next((entry for entry in self.entries if entry.label == label), None)

    def to_json(self) -> dict[str, Any]:
        """Return the attributes under their own names."""
        return asdict(self)


@dataclass(frozen=True)
class LayerTime:
    """Mean time of a part of a layer in one run: ``transform``, ``merge``, ``reorder``, or none."""

    layer: str
    part: str
    time_ms: float


@dataclass(frozen=True)
class Profile:
    """A run of a network taken apart.

    Attributes:
        subject: Name of the network.
        label: Which model of it.
        threads: Intra-op threads.
        times: Times in order of execution.
        taken: When and where.
    """

    subject: str
    label: str
    threads: int
    times: tuple[LayerTime, ...]
    taken: Taken

    @property
    def key(self) -> str:
        """Names the profile among those of its part."""
        return f"{self.subject}, {self.label}, threads {self.threads}"

    def to_json(self) -> dict[str, Any]:
        """Return the attributes under their own names."""
        return asdict(self)


Record = Race | Profile


def read_race(value: Mapping[str, Any]) -> Race:
    """Return the race that ``Race.to_json`` gave."""
    entries = tuple(
        Entry(**{**entry, "restarts_ms": tuple(map(tuple, entry["restarts_ms"]))})
        for entry in value["entries"]
    )
    absent = tuple(Absent(**one) for one in value["absent"])
    return Race(**{**value, "entries": entries, "absent": absent, "taken": Taken(**value["taken"])})


def read_profile(value: Mapping[str, Any]) -> Profile:
    """Return the profile that ``Profile.to_json`` gave."""
    times = tuple(LayerTime(**time) for time in value["times"])
    return Profile(**{**value, "times": times, "taken": Taken(**value["taken"])})

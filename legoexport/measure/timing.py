"""What a measurement found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from legoexport.measure.profile import Profile
from legoexport.measure.statistics import Latency, RatioInterval
from legoexport.ort.nodes import Placement


@dataclass(frozen=True)
class Memory:
    """Resident memory of the process that ran the model.

    Attributes:
        before_load_bytes: Memory with ONNX Runtime and numpy imported.
        after_load_bytes: Memory with the session created.
        peak_bytes: Most memory held while the model was loaded and measured.
    """

    before_load_bytes: int
    after_load_bytes: int
    peak_bytes: int

    @property
    def own_peak_bytes(self) -> int:
        """The peak minus what the process held without a model."""
        return self.peak_bytes - self.before_load_bytes


@dataclass(frozen=True)
class Timing:
    """One model, measured.

    Attributes:
        model: Path of the file.
        threads: Intra-op threads.
        provider: ONNX Runtime's name of the execution provider asked for.
        batch_size: Images in a run.
        latency: Latency of single runs.
        session_creation_ms: Time to read the file, optimize the graph and pack the weights.
        memory: Memory of the process.
        file_size_bytes: Size of the file, including external data if there is any.
        placement: Where each operator really ran.
        profile: A run taken apart, if it was asked for.
        runtime: What ran it, with its version.
    """

    model: str
    threads: int
    provider: str
    batch_size: int
    latency: Latency
    session_creation_ms: float
    memory: Memory
    file_size_bytes: int
    placement: tuple[Placement, ...]
    profile: Profile | None
    runtime: str

    @property
    def images_per_second(self) -> float:
        """Throughput of runs one after the other."""
        return self.batch_size * 1e3 / self.latency.mean_ms

    def to_json(self) -> dict[str, Any]:
        """Return the attributes and the throughput under their own names."""
        return asdict(self) | {"images_per_second": self.images_per_second}


@dataclass(frozen=True)
class Comparison:
    """Two models that took turns.

    Attributes:
        timing: The model.
        other: The model it is compared with.
        speedup: Latency of the other over the model's; above 1 the model is faster.
        rounds_count: Rounds in which each was measured once.
    """

    timing: Timing
    other: Timing
    speedup: RatioInterval
    rounds_count: int

    def __str__(self) -> str:
        """Say which is faster, and by how much."""
        name, other = _names(self.timing.model, self.other.model)
        speedup = self.speedup
        low, estimate, high = speedup.low_ratio, speedup.estimate_ratio, speedup.high_ratio
        if self.speedup.holds_one:
            return f"no difference measured between {name} and {other} [{low:.2f}, {high:.2f}]"
        if estimate < 1:
            name, other = other, name
            low, estimate, high = 1 / high, 1 / estimate, 1 / low
        return f"{name} is {estimate:.2f}x faster than {other} [{low:.2f}, {high:.2f}]"


def _names(model: str, other: str) -> tuple[str, str]:
    names = Path(model).name, Path(other).name
    return (model, other) if names[0] == names[1] else names

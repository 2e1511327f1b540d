"""How to measure."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from legoexport.errors import UsageError
from legoexport.runtimes import HERE

DEFAULT_DURATION_S = 5.0
DEFAULT_PROVIDER = "cpu"


@dataclass(frozen=True)
class BenchOptions:
    """How to measure.

    Attributes:
        threads: Intra-op threads of ONNX Runtime.
        provider: Execution provider by its short name, such as ``cpu``.
        batch_size: Images in a run.
        duration_s: Seconds to measure each model, not counting the warm-up.
        profile: Also show the time by operator and by Lego layer.
        runtime: Where the model runs, such as ``cpu`` for this ONNX Runtime, or ``xnnpack``.
    """

    threads: int
    provider: str = DEFAULT_PROVIDER
    batch_size: int = 1
    duration_s: float = DEFAULT_DURATION_S
    profile: bool = False
    runtime: str = HERE

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        has_end = isfinite(self.duration_s) and self.duration_s > 0
        if min(self.threads, self.batch_size) < 1 or not has_end:
            received = f"{self.threads} threads, batch {self.batch_size}, {self.duration_s} s"
            raise UsageError(
                "threads, batch and duration must be positive and finite", received=received
            )
        if self.runtime != HERE and (self.provider != DEFAULT_PROVIDER or self.profile):
            raise UsageError(
                f"runtime {self.runtime} has one provider, and names nodes by no Lego layer",
                received=f"provider {self.provider}" + ", profile" * self.profile,
                legal=f"--runtime {self.runtime} without --provider and --profile",
            )

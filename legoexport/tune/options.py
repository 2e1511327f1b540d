"""How to tune, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from legoexport.errors import UsageError
from legoexport.measure.statistics import RatioInterval
from legoexport.passes.plan import Plan
from legoexport.runtimes import HERE


@dataclass(frozen=True)
class TuneOptions:
    """How to tune.

    Attributes:
        threads: Thread counts to choose the plan for; each weighs the same.
        budget_s: Seconds to spend. A network that is slow to load or to run takes some more,
            because a comparison that was begun is finished.
        runtime: Where to measure: ``cpu`` for this ONNX Runtime, or a name of ``bench --runtime``.
    """

    threads: tuple[int, ...] = (1,)
    budget_s: float = 60.0
    runtime: str = HERE

    def __post_init__(self) -> None:
        has_end = isfinite(self.budget_s) and self.budget_s > 0
        if not self.threads or min(self.threads) < 1 or not has_end:
            received = f"threads {self.threads}, {self.budget_s} s"
            raise UsageError("threads and budget must be positive and finite", received=received)


@dataclass(frozen=True)
class Tuned:
    """A plan and how it did.

    Attributes:
        plan: The fastest plan found.
        name: What it started from: ``cost model``, ``mixed``, or the lowering of every layer; and
            ``refined`` if a later change won.
        speedups: Speed-up over the dense plan by number of threads.
        seconds: What the tuning took.
    """

    plan: Plan
    name: str
    speedups: Mapping[int, RatioInterval]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return the name and the speed-ups over the dense plan, by number of threads."""
        speedups = {str(threads): asdict(speedup) for threads, speedup in self.speedups.items()}
        return {"name": self.name, "speedups_over_dense": speedups, "seconds": self.seconds}

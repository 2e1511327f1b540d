"""Tune: choose each layer's lowering by measuring whole models on this machine.

Every lowering that can serve is measured where it will run: one model per lowering, with that
lowering in every layer that takes it, profiled layer by layer. Layers measured alone mislead: their
weights stay in cache, and a layout change between neighbours costs nothing. The plan takes for each
layer the lowering with the least time, summed over the thread counts as a share of the dense
model's. It is then measured against the best uniform plan and against ``dense``, and the fastest is
returned: a tuned plan is slower than the dense network by no more than this machine's noise.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from legoexport.bench.run import BenchOptions, bench_model, compare
from legoexport.bench.statistics import RatioInterval
from legoexport.errors import UsageError
from legoexport.passes.lowerings import Site
from legoexport.passes.plan import Plan, why_not
from legoexport.pipeline import lower
from legoexport.stages import Prepared

Progress = Callable[[str], None]
# Milliseconds of a layer by (lowering, layer), at one number of threads.
LayerTimes = Mapping[tuple[str, str], float]

YARDSTICK = "dense"
LEAST_SLICE_S = 0.3


@dataclass(frozen=True)
class TuneOptions:
    """How to tune.

    Attributes:
        threads: Thread counts that the plan is to serve; each weighs the same.
        budget_s: Seconds to spend on measuring.
    """

    threads: tuple[int, ...] = (1,)
    budget_s: float = 60.0

    def __post_init__(self) -> None:
        if not self.threads or min(self.threads) < 1 or not self.budget_s > 0:
            received = f"threads {self.threads}, {self.budget_s} s"
            raise UsageError("threads and budget must be positive", received=received)


@dataclass(frozen=True)
class Tuned:
    """A plan and how it did.

    Attributes:
        plan: The fastest plan found.
        name: ``mixed``, or the one lowering that every layer got.
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


def tune(prepared: Prepared, options: TuneOptions, progress: Progress = lambda _: None) -> Tuned:
    """Find a fast plan for ``prepared`` on this machine.

    Raises:
        UsageError: The network has no Lego layer, or the target does not allow ``dense``.
    """
    start = time.perf_counter()
    plans = uniform_plans(prepared)
    with tempfile.TemporaryDirectory(prefix="legoexport-tune-") as folder:
        workshop = _Workshop(prepared, Path(folder), options, len(plans), progress)
        files = {name: workshop.write(name, plan) for name, plan in plans.items()}
        times = {
            threads: workshop.profile(files, prepared.sites, threads) for threads in options.threads
        }
        plans["mixed"] = combine(plans, times)
        files["mixed"] = workshop.write("mixed", plans["mixed"])
        best = workshop.champion(files, _finalists(plans, times))
        speedups = {
            threads: workshop.speedup(files[best], files[YARDSTICK], threads)
            for threads in options.threads
        }
    return Tuned(plans[best], best, speedups, time.perf_counter() - start)


def uniform_plans(prepared: Prepared) -> dict[str, Plan]:
    """Return for each lowering of the target the plan that uses it wherever it serves.

    Layers that a lowering declines get the first one that serves them.
    """
    target, sites = prepared.options.target, prepared.sites
    if not sites or YARDSTICK not in target.lowerings:
        raise UsageError("there is nothing to tune", received=f"{len(sites)} Lego layers")
    plans = {}
    for name in target.lowerings:
        order = (name, *target.lowerings)
        if any(why_not(name, site, target) is None for site in sites):
            plans[name] = Plan(
                {
                    site.layer: next(one for one in order if why_not(one, site, target) is None)
                    for site in sites
                }
            )
    return plans


def combine(plans: Mapping[str, Plan], times: Mapping[int, LayerTimes]) -> Plan:
    """Take for each layer the lowering with the least time over all thread counts.

    At each thread count a layer's time is taken as a share of the dense model's total.
    """
    totals = {threads: sum_of(YARDSTICK, of_layers) for threads, of_layers in times.items()}

    def cost(name: str, layer: str) -> float:
        return sum(of_layers[name, layer] / totals[t] for t, of_layers in times.items())

    layers = plans[YARDSTICK].lowerings
    chosen = {layer: min(plans, key=lambda name: cost(name, layer)) for layer in layers}
    return Plan({layer: plans[name].lowerings[layer] for layer, name in chosen.items()})


def sum_of(name: str, times: LayerTimes) -> float:
    """Return the time of all Lego layers under one uniform plan."""
    return sum(time_ms for (plan, _), time_ms in times.items() if plan == name)


def _finalists(plans: Mapping[str, Plan], times: Mapping[int, LayerTimes]) -> list[str]:
    """Return the mixed plan, the best uniform one, and dense."""
    uniform = [name for name in plans if name != "mixed"]
    best = min(uniform, key=lambda name: sum(sum_of(name, t) for t in times.values()))
    return list(dict.fromkeys(["mixed", best, YARDSTICK]))


class _Workshop:
    """The files under measurement, and how long each measurement may take."""

    def __init__(
        self,
        prepared: Prepared,
        folder: Path,
        options: TuneOptions,
        plans_count: int,
        progress: Progress,
    ) -> None:
        self.prepared, self.folder, self.options = prepared, folder, options
        self.progress = progress
        # In durations, starts of sessions not counted: a profile takes 2, a comparison 4.
        measurements_count = len(options.threads) * (2 * plans_count + 3 * 4)
        self.duration_s = max(LEAST_SLICE_S, options.budget_s / measurements_count)

    def write(self, name: str, plan: Plan) -> Path:
        self.progress(f"tuning: building {name}")
        path = self.folder / f"{name}.onnx"
        path.write_bytes(lower(self.prepared, plan).model.SerializeToString())
        return path

    def profile(self, files: Mapping[str, Path], sites: Sequence[Site], threads: int) -> LayerTimes:
        times: dict[tuple[str, str], float] = {}
        for name, path in files.items():
            self.progress(f"tuning: measuring {name}, {threads} threads")
            shares = bench_model(path, self._bench(threads, profile=True)).profile
            assert shares is not None  # noqa: S101 - it was asked for
            for site in sites:
                parts = [s.time_ms for s in shares.by_layer if s.name == site.layer]
                times[name, site.layer] = sum(parts)
        return times

    def champion(self, files: Mapping[str, Path], names: Sequence[str]) -> str:
        """Return the one that no other beats, product of speed-ups over all thread counts."""
        best = names[0]
        for name in names[1:]:
            self.progress(f"tuning: {best} against {name}")
            product = 1.0
            for threads in self.options.threads:
                product *= self.speedup(files[best], files[name], threads).estimate_ratio
            if product < 1:
                best = name
        return best

    def speedup(self, path: Path, other: Path, threads: int) -> RatioInterval:
        return compare(path, other, self._bench(threads)).speedup

    def _bench(self, threads: int, *, profile: bool = False) -> BenchOptions:
        return BenchOptions(threads=threads, duration_s=self.duration_s, profile=profile)

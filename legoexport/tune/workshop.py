"""The files under measurement, and how each is measured."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

from legoexport.compile.pipeline import lower
from legoexport.compile.stages import Prepared
from legoexport.host.progress import Progress
from legoexport.measure.run import (
    RESTARTS_COUNT,
    BenchOptions,
    bench,
    compare,
    profile_model,
)
from legoexport.measure.statistics import RatioInterval
from legoexport.passes import cost_model
from legoexport.passes.lowerings import Site
from legoexport.passes.plan import Plan
from legoexport.runtimes import HERE
from legoexport.tune.candidates import LayerTimes, share_of_dense
from legoexport.tune.options import TuneOptions

# Share of the budget for screening every lowering; the rest is for comparing plans.
SCREENING_SHARE = 0.4
ROUNDS_COUNT = 3
CHALLENGE_RESTARTS_COUNT = 3
LEAST_SLICE_S = 0.2
LONGEST_SLICE_S = 1.0


class Workshop:
    """Builds models of ``prepared`` in ``folder`` and measures them until the budget is spent."""

    def __init__(
        self, prepared: Prepared, folder: Path, options: TuneOptions, progress: Progress
    ) -> None:
        self.prepared, self.folder, self.options = prepared, folder, options
        self.progress = progress
        self._start = time.perf_counter()
        self._files: dict[Plan, Path] = {}

    @property
    def seconds(self) -> float:
        """Time since the workshop opened."""
        return time.perf_counter() - self._start

    @property
    def has_time(self) -> bool:
        """Whether any of the budget is left."""
        return self.seconds < self.options.budget_s

    def file(self, plan: Plan) -> Path:
        """Return the model lowered as ``plan`` says; built once."""
        if plan not in self._files:
            path = self.folder / f"{len(self._files)}.onnx"
            path.write_bytes(lower(self.prepared, plan).model.SerializeToString())
            self._files[plan] = path
        return self._files[plan]

    def screen(self, plans: Mapping[str, Plan], sites: Sequence[Site]) -> dict[int, LayerTimes]:
        """Return the least time of each layer under each uniform plan, by number of threads.

        The plans take turns, several times: other work on the machine only adds to a time, and
        seldom to the same model in every round. Other runtimes name no layer in their profiles;
        there the cost model stands in, and what is compared later decides.
        """
        if self.options.runtime != HERE:
            return dict.fromkeys(self.options.threads, _estimates(plans, sites))
        times: dict[int, dict[tuple[str, str], float]] = {t: {} for t in self.options.threads}
        deadline_s = SCREENING_SHARE * self.options.budget_s
        for number in range(1, ROUNDS_COUNT + 1):
            if number > 1 and self.seconds > deadline_s:
                break
            for threads in self.options.threads:
                for name, plan in plans.items():
                    self.progress(f"tuning: {name}, {threads} threads, round {number}")
                    self._least(times[threads], name, plan, threads)
        return dict(times)

    def fastest(self, plans: Mapping[str, Plan], times: Mapping[int, LayerTimes]) -> str:
        """Return the name of the fastest plan, by ``times``, or by latency if there are none."""
        if self.options.runtime == HERE:
            shares = share_of_dense(times)
            totals = {
                name: sum(shares[name, layer] for layer in plan.lowerings)
                for name, plan in plans.items()
            }
        else:
            self.progress("tuning: uniform plans")
            totals = {name: prod(self._latencies_ms(plan)) for name, plan in plans.items()}
        return min(totals, key=totals.__getitem__)

    def challenge(self, challenger: Plan, champion: Plan) -> float:
        """Return how many times faster ``challenger`` is, the product over all thread counts."""
        return prod(
            self.speedup(challenger, champion, threads, CHALLENGE_RESTARTS_COUNT).estimate_ratio
            for threads in self.options.threads
        )

    def speedup(
        self, plan: Plan, other: Plan, threads: int, restarts_count: int = RESTARTS_COUNT
    ) -> RatioInterval:
        """Return how many times faster ``plan`` is than ``other``."""
        files, options = (self.file(plan), self.file(other)), self._options(threads)
        return compare(*files, options, restarts_count=restarts_count).speedup

    def _least(
        self, times: dict[tuple[str, str], float], name: str, plan: Plan, threads: int
    ) -> None:
        shares = profile_model(self.file(plan), self._options(threads)).by_layer
        for layer in plan.lowerings:
            time_ms = sum(share.time_ms for share in shares if share.name == layer)
            times[name, layer] = min(time_ms, times.get((name, layer), time_ms))

    def _latencies_ms(self, plan: Plan) -> list[float]:
        path = self.file(plan)
        options = [self._options(threads) for threads in self.options.threads]
        return [bench(path, one).latency.p50_ms for one in options]

    def _options(self, threads: int) -> BenchOptions:
        slice_s = self.options.budget_s / 60
        duration_s = min(LONGEST_SLICE_S, max(LEAST_SLICE_S, slice_s))
        return BenchOptions(threads=threads, duration_s=duration_s, runtime=self.options.runtime)


def _estimates(plans: Mapping[str, Plan], sites: Sequence[Site]) -> LayerTimes:
    return {
        (name, site.layer): 1e3 * cost_model.seconds(site, plan.lowerings[site.layer])
        for name, plan in plans.items()
        for site in sites
    }

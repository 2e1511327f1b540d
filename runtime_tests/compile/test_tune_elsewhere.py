"""Tuning for another runtime: what is measured runs there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import prepare
from legoexport.compile.stages import CompileOptions
from legoexport.measure.run import BenchOptions, bench, compare
from legoexport.measure.statistics import RatioInterval
from legoexport.measure.timing import Comparison, Timing
from legoexport.target import TARGETS
from legoexport.tune import TuneOptions, search, tune, workshop
from legoexport.tune.candidates import uniform_plans
from legoexport.tune.workshop import Workshop
from runtime_tests.networks import small_net

EXAMPLE = torch.zeros(1, 3, 12, 10)
YARDSTICK = "dense"


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tested is where it is measured, not how exactly."""
    monkeypatch.setattr(workshop, "LEAST_SLICE_S", 0.02)


@pytest.mark.usefixtures("needs_node")
def test_another_runtime_is_measured_there(monkeypatch: pytest.MonkeyPatch) -> None:
    target = TARGETS["xnnpack"]
    prepared = prepare(freeze(small_net(), EXAMPLE), EXAMPLE, CompileOptions(target=target))
    measured: list[Timing] = []

    def noted(path: Path, options: BenchOptions) -> Timing:
        measured.append(bench(path, options))
        return measured[-1]

    plans = {name: uniform_plans(prepared)[name] for name in (YARDSTICK, "grouped")}
    monkeypatch.setattr(search, "uniform_plans", lambda _: plans)
    monkeypatch.setattr(workshop, "bench", noted)
    # Uniform plans are timed one by one; which of them wins is not what is tested.
    monkeypatch.setattr(Workshop, "speedup", lambda *_, **__: RatioInterval(2.0, 2.0, 2.0))
    tuned = tune(prepared, TuneOptions(budget_s=0.1, runtime="xnnpack"))
    tuned.plan.check(prepared.sites, target)
    assert len(measured) == len(plans)
    for timing in measured:
        assert timing.runtime.startswith("onnxruntime-web")
        assert timing.provider == "XnnpackExecutionProvider"


@pytest.mark.usefixtures("needs_node")
def test_plans_compete_on_the_runtime_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(freeze(small_net(), EXAMPLE), EXAMPLE, CompileOptions())
    compared: list[Comparison] = []

    def noted(*files: Path | BenchOptions, restarts_count: int) -> Comparison:
        compared.append(compare(*files, restarts_count=restarts_count))  # type: ignore[arg-type]
        return compared[-1]

    monkeypatch.setattr(workshop, "compare", noted)
    plans = uniform_plans(prepared)
    options = TuneOptions(budget_s=0.1, runtime="wasm")
    shop = Workshop(prepared, tmp_path, options, lambda _: None)
    assert shop.speedup(plans["grouped"], plans[YARDSTICK], 1, 1) == compared[0].speedup
    for timing in (compared[0].timing, compared[0].other):
        assert timing.runtime.startswith("onnxruntime-web")

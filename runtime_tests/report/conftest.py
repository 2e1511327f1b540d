"""What a report of a small network is made of, with names that try to become markup."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.measure.options import BenchOptions
from legoexport.measure.statistics import RatioInterval
from legoexport.measure.timing import Comparison
from legoexport.models.checkpoint import Checkpoint
from legoexport.parity.inputs import InputSet
from legoexport.parity.opened import open_model
from legoexport.quantize.cost import LayerCost, RoundingCost
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from legoexport.report.compare import render_comparison
from legoexport.report.converted import SETTINGS, Converted, Totals
from legoexport.report.facts import Commands, Facts
from legoexport.report.gather import Request, gather
from legoexport.report.page import render
from runtime_tests.conftest import missing
from runtime_tests.networks import small_net
from runtime_tests.web.browser import PHONE, Browser, driver, missing_programs, window

HOSTILE = "<script>alert(1)<!--\"'&$x$"
DESKTOP = {"width": 1280, "height": 800, "pixelRatio": 1.0, "touch": False}
SIZE = (3, 12, 10)
IMAGES = 6
COST = LayerCost("first", "first", "int8", "int8_grouped", 40.0, None, 38.5, None, None, None)
# Twice as fast, so that the page has something to say.
SPEEDUP = RatioInterval(2.0, 1.75, 2.25)


def checkpoint_of(module: torch.nn.Module) -> Checkpoint:
    return Checkpoint(
        path=Path(f"{HOSTILE}.pt"),
        sha256="0" * 64,
        container="zip",
        form="legoexport",
        module=module,
        arch="small",
        hyperparameters={},
        image_shape=SIZE,
        stored_dtypes=("float32",),
    )


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """A network that was checked and measured without its dense twin."""
    path = tmp_path_factory.mktemp("report") / f"{HOSTILE}.onnx"
    module, example = small_net().eval(), torch.zeros(1, *SIZE)
    names = tuple(f"{HOSTILE}{number}" for number in range(10))
    conversion = convert_module(module, example, checkpoint_sha256="0" * 64, class_names=names)
    path.write_bytes(conversion.model_bytes)
    images = np.random.default_rng(3).standard_normal((IMAGES, *SIZE)).astype(np.float32)
    data = InputSet(HOSTILE, (images,), IMAGES, np.arange(IMAGES) % 10)
    options = BenchOptions(threads=1, duration_s=0.05, profile=True)
    commands = Commands("report", "verify", "cost", "inspect", f"legoexport bench '{HOSTILE}'")
    checkpoint = checkpoint_of(module)
    return gather(Request(checkpoint, open_model(path), path, None, data, options, commands))


@pytest.fixture(scope="session")
def facts(alone: Facts) -> Facts:
    """The same beside a dense twin, which is the file itself with another size."""
    assert alone.rights is not None
    compared = Comparison(alone.timing, alone.timing, SPEEDUP, 10)
    subject = replace(alone.subject, other="dense.onnx", other_size_bytes=10_000_000)
    return replace(
        alone,
        measured=compared,
        subject=subject,
        rights=replace(alone.rights, other_count=alone.rights.model_count),
    )


@pytest.fixture(scope="session")
def page(facts: Facts) -> str:
    return render(facts).decode()


@pytest.fixture(scope="session")
def compared_page(facts: Facts) -> str:
    """The page of two conversions, of which one computes in int8."""
    totals = Totals(1000, 2000)
    converted = Converted(
        source=f"{HOSTILE}.json",
        settings=dict.fromkeys(SETTINGS, HOSTILE),
        checkpoint_sha256="0" * 64,
        size_bytes=facts.inventory.stored.total_bytes,
        stored=facts.inventory.stored,
        totals=totals,
        dense_twin=totals,
        passed=True,
        relative_error=1e-6,
        own_peak_bytes=10_000_000,
        lowerings={one.audit.layer: "grouped" for one in facts.layers},
        evenness={one.audit.layer: one.audit.evenness_ratio for one in facts.layers},
        partitions=facts.partitions,
        cost=None,
    )
    pair = converted, replace(converted, cost=RoundingCost((COST,), ()))
    return render_comparison(pair, f"legoexport '{HOSTILE}'").decode()


@pytest.fixture(scope="session")
def int8_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a file that computes in int8, with what that costs."""
    path = tmp_path_factory.mktemp("report") / f"{HOSTILE}.onnx"
    module, example = small_net().eval(), torch.zeros(1, *SIZE)
    images = np.random.default_rng(3).standard_normal((IMAGES, *SIZE)).astype(np.float32)
    conversion = convert_module(
        module,
        example,
        CompileOptions(precision="int8"),
        checkpoint_sha256="0" * 64,
        calibrate=CalibrationOptions(CalibrationImages.of(images)),
    )
    path.write_bytes(conversion.model_bytes)
    data = InputSet(HOSTILE, (images,), IMAGES, np.arange(IMAGES) % 10)
    options = BenchOptions(threads=1, duration_s=0.05, profile=True)
    commands = Commands("report", "verify", "cost", "inspect", f"legoexport bench '{HOSTILE}'")
    files = (checkpoint_of(module), open_model(path), path, None, data)
    return render(gather(Request(*files, options, commands, judging=data))).decode()


@pytest.fixture(scope="session", params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def chromium(request: pytest.FixtureRequest) -> Iterator[Browser]:
    if problem := missing_programs():
        missing(problem)
    with driver() as found, window(found, request.param) as opened:
        yield opened

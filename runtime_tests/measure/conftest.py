"""Small models to measure, and the command to measure them with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch

from legoexport.cli import main
from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import compile_network
from legoexport.compile.stages import CompileOptions
from legoexport.passes.plan import Plan
from runtime_tests.networks import small_net

Bench = Callable[..., tuple[object, str, str]]
LOWERINGS = ("grouped", "per_fragment", "dense")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same small network by each lowering with an open batch, and grouped with a batch of 2."""
    folder = tmp_path_factory.mktemp("models")
    example = torch.zeros(2, 3, 12, 10)
    network = freeze(small_net(), example)
    plans = {name: Plan(dict.fromkeys(network.layers, name)) for name in LOWERINGS}
    options = {name: CompileOptions(plan=plan) for name, plan in plans.items()}
    options["fixed"] = CompileOptions(dynamic_batch=False)
    for name, option in options.items():
        onnx.save(compile_network(network, example, option).model, folder / f"{name}.onnx")
    return {name: folder / f"{name}.onnx" for name in options}


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    """Run the command and return its exit code, stdout and stderr."""

    def run(*arguments: object) -> tuple[object, str, str]:
        code: object = 0
        try:
            main(["bench", *map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run

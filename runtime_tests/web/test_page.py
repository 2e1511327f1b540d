"""The page's own files: nothing from elsewhere, nothing inline, and all that is named is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from legoexport.web.packages import BINARIES, LOADED_FILES, LOCKED, PACKAGE, runtime_version
from legoexport.web.server import CONTENT_POLICY
from legoexport.web.site import PAGE

FILES = sorted(PAGE.iterdir())
# The name of the SVG language; browsers never open it.
SVG_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
REFERENCE = re.compile(
    r"""(?:src|href)="([^"]+)"|from "([^"]+)"|new URL\("([^"]+)"|url\(([^)]+)\)"""
)
LONGEST_FILE_LINES = 250


def references(path: Path) -> set[str]:
    text = path.read_text()
    return {next(filter(None, found)) for found in REFERENCE.findall(text)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text().replace(SVG_NAMESPACE, "")
    assert "://" not in text
    assert not re.search(r"""["'(]//\w""", text), "an address without a scheme"
    assert not [name for name in references(path) if name.startswith("/")]
    assert len(text.splitlines()) <= LONGEST_FILE_LINES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_everything_named_is_there(path: Path) -> None:
    there = {file.name for file in FILES} | {"ort/"}
    assert {name.removeprefix("./") for name in references(path)} <= there


def test_the_references_are_found_at_all() -> None:
    assert {"main.js", "style.css", "icon.svg"} <= references(PAGE / "index.html")
    assert {"./judge.js", "./ort/"} <= references(PAGE / "engine.js")


def test_the_loaders_and_the_binaries_are_files_of_the_site() -> None:
    loaders = re.findall(r'"\./ort/([\w.-]+)"', (PAGE / "engine.js").read_text())
    binaries = re.findall(r'"ort/([\w.-]+)"', (PAGE / "runtime.js").read_text())
    assert len(loaders) == 2
    assert set(loaders) <= set(LOADED_FILES)
    assert binaries == list(BINARIES)


def test_the_page_states_the_policy_of_the_server() -> None:
    assert f'content="{CONTENT_POLICY}"' in (PAGE / "index.html").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_text_never_becomes_markup_or_code(path: Path) -> None:
    text = path.read_text()
    for risk in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "onclick=",
    ):
        assert risk not in text, risk
    assert "style=" not in text


def test_one_exact_version_is_locked() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", runtime_version())
    packages = json.loads((LOCKED / "package-lock.json").read_text())["packages"]
    assert packages[f"node_modules/{PACKAGE}"]["version"] == runtime_version()
    assert packages[""]["dependencies"] == {PACKAGE: runtime_version()}
    assert all("integrity" in one for name, one in packages.items() if name)
    assert not any("resolved" in one for one in packages.values()), "a host name"

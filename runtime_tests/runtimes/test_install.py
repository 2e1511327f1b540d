"""Installing onnxruntime-web: once, whole or not at all, and with a message where that fails."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from legoexport.errors import UsageError
from legoexport.runtimes.web import install
from legoexport.runtimes.web.node import find_node, node_version

CALLS = "calls.txt"
# Stands in for npm: notes its arguments and installs one file beside the lock file it was given.
NPM = """#!/bin/sh
echo "$@" >> "$CALLS"
test -f package.json && test -f package-lock.json || exit 9
mkdir node_modules && sleep 0.1 && echo whole > node_modules/done
"""
BROKEN_NPM = """#!/bin/sh
mkdir node_modules
echo "npm error network is unreachable" >&2
exit 1
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache, and with no tools but those of its ``bin``."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / CALLS))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return tmp_path


def put(machine: Path, name: str, script: str) -> None:
    path = machine / "bin" / name
    path.write_text(script)
    path.chmod(0o755)


def left_over(machine: Path) -> list[str]:
    return [path.name for path in (machine / "cache" / "legoexport").iterdir()]


def test_it_is_installed_once_from_the_lock_file(machine: Path) -> None:
    put(machine, "npm", NPM)
    folder = install.installed()
    assert install.installed() == folder
    assert (folder / "node_modules" / "done").exists()
    assert left_over(machine) == [folder.name]
    (call,) = (machine / CALLS).read_text().splitlines()
    assert call.startswith("ci --omit=dev --ignore-scripts")


def test_many_at_once_end_with_one_whole_folder(machine: Path) -> None:
    put(machine, "npm", NPM)
    with ThreadPoolExecutor(8) as pool:
        folders = set(pool.map(lambda _: install.installed(), range(8)))
    assert len(folders) == 1
    assert (folders.pop() / "node_modules" / "done").read_text() == "whole\n"
    assert len(left_over(machine)) == 1


def test_a_failure_leaves_nothing_and_says_what_npm_said(machine: Path) -> None:
    put(machine, "npm", BROKEN_NPM)
    with pytest.raises(UsageError, match="network is unreachable"):
        install.installed()
    assert left_over(machine) == []
    put(machine, "npm", NPM)
    assert (install.installed() / "node_modules" / "done").exists()


def test_another_lock_file_is_another_folder(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package, _ = install.PACKAGE_FILES
    changed = machine / "package-lock.json"
    changed.write_text("{}")
    put(machine, "npm", NPM)
    before = install.installed()
    monkeypatch.setattr(install, "PACKAGE_FILES", (package, changed))
    assert install.installed() != before


def test_a_cache_that_cannot_be_written_is_named(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(machine, "npm", NPM)
    (machine / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(machine / "file"))
    with pytest.raises(UsageError, match="XDG_CACHE_HOME"):
        install.installed()


@pytest.mark.parametrize(("tool", "ask"), [("node", find_node), ("npm", install.installed)])
def test_a_missing_tool_says_what_to_install(
    machine: Path, monkeypatch: pytest.MonkeyPatch, tool: str, ask: Callable[[], object]
) -> None:
    monkeypatch.setenv("PATH", str(machine / "bin"))
    with pytest.raises(UsageError, match="apt-get install nodejs npm") as caught:
        ask()
    assert f"no {tool} on PATH" in str(caught.value)


@pytest.mark.parametrize("said", ["v16.20.2", "v9.0.0", "", "not a version"])
def test_an_old_or_broken_node_is_refused(machine: Path, said: str) -> None:
    put(machine, "node", f"#!/bin/sh\necho '{said}'\n")
    with pytest.raises(UsageError, match="18 or later"):
        node_version(find_node())


def test_a_new_node_is_welcome(machine: Path) -> None:
    put(machine, "node", "#!/bin/sh\necho v24.1.0\n")
    assert node_version(find_node()) == "24.1.0"


def test_the_lock_file_pins_what_the_product_names() -> None:
    package, lock = (json.loads(path.read_text()) for path in install.PACKAGE_FILES)
    assert package["dependencies"] == {"onnxruntime-web": install.VERSION}
    packages = {name: one for name, one in lock["packages"].items() if name}
    assert packages["node_modules/onnxruntime-web"]["version"] == install.VERSION
    for name, one in packages.items():
        assert one["integrity"].startswith("sha512-"), name
        assert "resolved" not in one, "the registry is the user's choice"

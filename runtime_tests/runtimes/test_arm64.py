"""The arm64 laboratory without running it: what is chosen, found, kept and refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from legoexport.errors import UsageError
from legoexport.host.cache import cached, run_tool
from legoexport.runtimes import find_runtime, find_runtimes
from legoexport.runtimes.arm64 import processors, qemu, wheels
from legoexport.runtimes.base import Timed


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is no arm64 one, whatever this is."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "legoexport"


def install_qemu(monkeypatch: pytest.MonkeyPatch, folder: Path, says: str) -> None:
    """Put a program on an otherwise empty PATH that says ``says``."""
    program = folder / "qemu-aarch64"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.usefixtures("elsewhere")
def test_arm64_is_all_processors_and_none_has_times() -> None:
    found = find_runtimes("arm64")
    assert [one.name for one in found] == [f"arm64:{name}" for name in processors.EMULATED]
    assert not any(isinstance(one, Timed) for one in found)
    with pytest.raises(UsageError, match="several runtimes"):
        find_runtime("arm64")
    assert find_runtime("arm64:max,sme=off").name == "arm64:max,sme=off"


@pytest.mark.parametrize("machine", processors.ARM64_MACHINES)
def test_an_arm64_machine_runs_and_measures_itself(
    monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    (found,) = find_runtimes("arm64")
    assert found.name == "arm64"
    assert isinstance(found, Timed)
    assert [one.name for one in find_runtimes("arm64:max")] == ["arm64:max"]


def test_an_unknown_processor_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown arm64 processor") as caught:
        find_runtimes("arm64:m4")
    assert all(f"arm64:{name}" in str(caught.value) for name in processors.LEGAL)


@pytest.mark.parametrize("name", ["cpu", "xnnpack"])
def test_only_arm64_comes_in_several_versions(name: str) -> None:
    with pytest.raises(UsageError, match="comes in one version"):
        find_runtimes(name, 1, "1.24.1")


def test_a_missing_qemu_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="apt-get install qemu-user"):
        qemu.find_qemu()


@pytest.mark.parametrize("says", ["qemu-aarch64 version 7.2.22 (Debian)", "", "no version"])
def test_an_old_or_broken_qemu_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str
) -> None:
    install_qemu(monkeypatch, tmp_path, says)
    with pytest.raises(UsageError, match="too old"):
        qemu.find_qemu()


def test_a_recent_qemu_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_qemu(monkeypatch, tmp_path, "qemu-aarch64 version 10.0.2 (Debian 1:10.0.2)")
    assert qemu.find_qemu() == (str(tmp_path / "qemu-aarch64"), "10.0.2")


@pytest.mark.parametrize("version", ["1.24", "latest", "1.24.1; rm", "../1.24.1"])
def test_a_version_is_that_of_a_release(version: str) -> None:
    with pytest.raises(UsageError, match="names a release"):
        wheels.wheels(version, "3.11")


def test_a_version_without_wheels_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # as if no index had it
    with pytest.raises(UsageError, match=r"pip finds no ONNX Runtime 0\.9\.9 for arm64"):
        wheels.wheels("0.9.9", "3.11")
    assert not list(cache.iterdir())


@pytest.mark.usefixtures("cache")
def test_what_is_kept_is_made_once() -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("content")

    first = cached("name", make)
    assert cached("name", make) == first
    assert (first / "file").read_text() == "content"
    assert len(made) == 1
    assert [one.name for one in first.parent.iterdir()] == ["name"]


def test_what_another_process_makes_meanwhile_is_taken(cache: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "file").write_text("ours")
        (cache / "name").mkdir()
        (cache / "name" / "file").write_text("theirs")

    assert (cached("name", make) / "file").read_text() == "theirs"


def test_a_failure_leaves_nothing_behind(cache: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").write_text("done")
        run_tool(["false"], "it cannot be made", "try again")

    with pytest.raises(UsageError, match="it cannot be made"):
        cached("name", make)
    assert not list(cache.iterdir())


def test_a_tool_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="no-such-tool: No such file"):
        run_tool(["no-such-tool"], "it cannot be made", "install it")

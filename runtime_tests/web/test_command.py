"""The command: its two forms, its messages, and a machine without npm."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from legoexport.cli import main
from legoexport.web.packages import (
    LOADED_FILES,
    LOCK_FILES,
    RUNTIME_FILES,
    runtime_folder,
    runtime_version,
)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["web", *map(str, arguments)])
    return int(str(ended.value.code))


@pytest.mark.usefixtures("runtime")
def test_it_says_what_the_page_cannot_prove(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, "--out", tmp_path / "site") == 0
    said = capsys.readouterr().out
    assert "without --bundle the page cannot prove its numbers" in said
    assert "state --mean and --std" in said
    assert f"legoexport web --serve {tmp_path / 'site'}" in said


@pytest.mark.usefixtures("runtime")
def test_json_counts_what_the_page_proves(
    tmp_path: Path, model: Path, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--bundle", bundle, "--mean", "0.5", "--std", "0.25", "--json")
    assert run(model, "--out", tmp_path / "site", *options) == 0
    said = json.loads(capsys.readouterr().out)
    files = [path for path in (tmp_path / "site").rglob("*") if path.is_file()]
    assert said["parity_images_count"] == 9
    assert said["size_bytes"] == sum(path.stat().st_size for path in files)
    assert said["first_answer_bytes"] < said["size_bytes"]
    assert said["first_answer_slow_s"] == pytest.approx(said["first_answer_bytes"] / 200_000)
    assert said["pixels_stated"] is True


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["model.onnx"],
        ["--out", "site"],
        ["model.onnx", "--out", "site", "--port", "1"],
        ["--serve", "site", "--out", "other"],
        ["--serve", "site", "--labels", "file"],
        ["--host", "127.0.0.1"],
    ],
)
def test_it_builds_or_serves(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments) == 2
    assert "--serve DIR" in capsys.readouterr().err


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "legoexport" / f"onnxruntime-web-{runtime_version()}-compressed"


def pretend_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Put a shell script in the place of npm, and one that makes empty files in that of Node.js."""
    folder.mkdir()
    pack = 'to=$3; shift 3; for name in "$@"; do touch $to/$name.br $to/$name.gz; done'
    for name, lines in (("npm", script), ("node", pack)):
        program = folder / name
        program.write_text(f"#!/bin/sh\n{lines}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("shutil.which", lambda name: str(folder / name))


def test_without_npm_it_says_what_to_install(
    tmp_path: Path,
    model: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(model, "--out", tmp_path / "site") == 2
    said = capsys.readouterr().err
    assert "npm is not installed" in said
    assert "apt-get install nodejs npm" in said
    assert not (tmp_path / "site").exists()
    assert not cache.exists()


def test_what_npm_says_is_passed_on(
    tmp_path: Path,
    model: Path,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pretend_npm(tmp_path / "bin", monkeypatch, "echo no route to the registry >&2; exit 1")
    assert run(model, "--out", tmp_path / "site") == 2
    said = capsys.readouterr().err
    assert "no route to the registry" in said
    assert "Traceback" not in said
    assert list(cache.parent.iterdir()) == []


def test_npm_installs_what_is_locked_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dist = "node_modules/onnxruntime-web/dist"
    files = " ".join(f"{dist}/{name}" for name in (*LOADED_FILES, "other.js"))
    locked = " && ".join(f"test -f {name}" for name in LOCK_FILES)
    script = f'echo "$@" >> {tmp_path}/calls && {locked} && mkdir -p {dist} && touch {files}'
    pretend_npm(tmp_path / "bin", monkeypatch, script)
    assert runtime_folder() == cache
    assert runtime_folder() == cache
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 1
    assert calls[0].startswith("ci ")
    assert "--ignore-scripts" in calls[0]
    assert sorted(path.name for path in cache.iterdir()) == sorted(RUNTIME_FILES)


def test_a_cache_with_holes_is_filled_again(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir(parents=True)
    (cache / RUNTIME_FILES[0]).write_text("old")
    dist = "node_modules/onnxruntime-web/dist"
    files = " ".join(f"{dist}/{name}" for name in LOADED_FILES)
    pretend_npm(tmp_path / "bin", monkeypatch, f"mkdir -p {dist} && touch {files}")
    runtime_folder()
    assert sorted(path.name for path in cache.iterdir()) == sorted(RUNTIME_FILES)
    assert (cache / RUNTIME_FILES[0]).read_text() == ""


def test_a_folder_that_no_folder_can_be_is_told(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "circle").symlink_to("circle")
    assert run(model, "--out", tmp_path / "circle") == 2
    assert "is a symbolic link that leads to itself" in capsys.readouterr().err
    assert run(model, "--out", tmp_path / ("a" * 300)) == 2
    assert "File name too long" in capsys.readouterr().err

"""A command among full disks, folders that cannot be written, closed pipes and poor locales."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import legoexport
from legoexport import convert_module
from legoexport.cli import main
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build

OLD = b"\x08\x08\x12 an older file"
PATIENCE_S = 300
POOR_LOCALE = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
# Room for a log, and for no model.
LARGEST_BYTES = 100_000


def start(
    arguments: list[str],
    environment: dict[str, str] | None = None,
    before: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "legoexport", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        preexec_fn=before,  # noqa: PLW1509
    )


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """The exit code, and what was said on stderr; no traceback is ever said."""
    _, err = process.communicate(timeout=PATIENCE_S)
    said = err.decode(errors="replace")
    assert "Traceback" not in said
    assert "Exception ignored" not in said
    return process.returncode, said


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "ckpt.pt"
    write_checkpoint(path, build("lego_digits"), arch="lego_digits", hyperparameters={})
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_reader_that_takes_one_line() -> None:
    piped = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m legoexport targets | head -1"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    assert (len(piped.stdout.splitlines()), piped.stderr) == (1, "")


@pytest.mark.parametrize("command", [["targets"], ["--help"]])
def test_a_reader_that_is_gone(command: list[str]) -> None:
    process = start(command)
    assert process.stdout is not None
    process.stdout.close()
    assert (process.wait(PATIENCE_S), process.stderr.read()) == (1, b"")
    process.stderr.close()


@pytest.mark.heavy
def test_a_conversion_whose_reader_is_gone(checkpoint: Path) -> None:
    process = start(["convert", str(checkpoint), "--out", str(checkpoint.with_name("m.onnx"))])
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(PATIENCE_S) == 1
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    assert names(checkpoint.parent) == ["ckpt.pt", "m.onnx"]


@pytest.mark.heavy
def test_a_limit_on_files_keeps_the_old_one(checkpoint: Path) -> None:
    out = checkpoint.with_name("m.onnx")
    out.write_bytes(OLD)
    limit = (LARGEST_BYTES, LARGEST_BYTES)
    code, said = ended(
        start(
            ["convert", str(checkpoint), "--out", str(out)],
            before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        )
    )
    assert code == 2
    assert "File too large" in said
    assert f"next: make room in {out.parent}" in said
    assert out.read_bytes() == OLD
    assert names(out.parent) == ["ckpt.pt", "m.onnx"]


def test_a_full_disk_under_temporary_files(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, content: bytes) -> int:
        assert "legoexport-doctor-" in str(path)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    model = checkpoint.with_name("m.onnx")
    convert_module(build("lego_digits"), torch.zeros(1, 1, 8, 8)).save(model)
    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(SystemExit) as ending:
        main(["doctor", str(model)])
    assert ending.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: there is no room for temporary files\n")
    assert f"next: make room in {tempfile.gettempdir()}, or set TMPDIR to another folder" in error


@pytest.mark.heavy
def test_two_conversions_to_one_file(checkpoint: Path) -> None:
    out, alone = checkpoint.with_name("m.onnx"), checkpoint.with_name("alone.onnx")
    both = [start(["convert", str(checkpoint), "--out", str(out)]) for _ in range(2)]
    assert [ended(one)[0] for one in both] == [0, 0]
    assert ended(start(["convert", str(checkpoint), "--out", str(alone)]))[0] == 0
    assert out.read_bytes() == alone.read_bytes()
    assert names(out.parent) == ["alone.onnx", "ckpt.pt", "m.onnx"]


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["ö ü.onnx".encode(), b"\xff.onnx"], ids=["utf-8", "no utf-8"])
def test_names_that_the_locale_does_not_know(checkpoint: Path, name: bytes) -> None:
    folder = checkpoint.with_name("größe")
    folder.mkdir()
    out = Path(os.fsdecode(os.fsencode(folder) + b"/" + name))
    code, said = ended(start(["convert", str(checkpoint), "--out", str(out)], POOR_LOCALE))
    assert (code, said) == (0, "")
    assert [os.fsencode(path.name) for path in folder.iterdir()] == [name]
    code, said = ended(start(["bench", str(out), "--duration", "0.1"], POOR_LOCALE))
    assert (code, said) == (0, "")


def test_a_temporary_folder_that_the_locale_does_not_know(tmp_path: Path) -> None:
    folder = tmp_path / "größe"
    folder.mkdir()
    poor = {**POOR_LOCALE, "TMPDIR": str(folder)}
    code, said = ended(start(["targets"], poor))
    assert code == 2
    assert said.startswith("error: temporary files cannot go where TMPDIR says")
    assert "next: set TMPDIR=/tmp, or LC_ALL=C.UTF-8" in said
    assert ended(start(["targets"], {"TMPDIR": str(folder), "PYTHONUTF8": "1"})) == (0, "")


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()

    def leave_nowhere() -> None:
        os.chdir(gone)
        gone.rmdir()

    # Python would look for the package there.
    repository = str(Path(legoexport.__file__).parents[1])
    code, said = ended(start(["targets"], {"PYTHONPATH": repository}, leave_nowhere))
    assert code == 2
    assert said.startswith("error: the working directory does not exist any more\n")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_folder_that_refuses_new_files(
    number: int,
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make = tempfile.mkstemp

    def refuse(suffix: str, prefix: str, folder: Path) -> tuple[int, str]:
        if Path(folder) == checkpoint.parent:
            raise OSError(number, os.strerror(number))
        return make(suffix, prefix, folder)

    out = checkpoint.with_name("m.onnx")
    out.write_bytes(OLD)
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(SystemExit) as ending:
        main(["convert", str(checkpoint), "--out", str(out)])
    assert ending.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: cannot write {out}\n  received: {os.strerror(number)}\n")
    assert f"next: choose a folder that can be written instead of {out.parent}" in error
    assert out.read_bytes() == OLD


def test_a_folder_known_to_be_read_only_is_told_before_any_work(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
    with pytest.raises(SystemExit) as ending:
        main(["convert", str(checkpoint), "--out", str(checkpoint.with_name("m.onnx"))])
    assert ending.value.code == 2
    assert f"no permission to write in {checkpoint.parent}" in capsys.readouterr().err

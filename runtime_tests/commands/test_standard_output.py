"""Standard output: what cannot be written is told, and ``--out -`` has the file alone on it."""

from __future__ import annotations

import os
import pty
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

from legoexport.cli import group
from legoexport.models.checkpoint import write_checkpoint
from legoexport.models.registry import build

PATIENCE_S = 300
LARGEST_BYTES = 100_000


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "ckpt.pt"
    write_checkpoint(path, build("lego_digits"), arch="lego_digits", hyperparameters={})
    return path


def convert(
    checkpoint: Path,
    *options: object,
    stdout: int = subprocess.PIPE,
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "legoexport", "convert", str(checkpoint), "--out"]
    return subprocess.run(
        [*command, *map(str, options)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=PATIENCE_S,
        check=False,
        preexec_fn=before,
    )


@pytest.mark.heavy
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_the_bytes_are_those_of_a_file(checkpoint: Path, json: list[str]) -> None:
    out = checkpoint.with_name("m.onnx")
    assert convert(checkpoint, out).returncode == 0
    done = convert(checkpoint, "-", *json)
    assert done.returncode == 0
    assert done.stdout == out.read_bytes()
    onnx.checker.check_model(onnx.load_from_string(done.stdout))
    assert (b'"out": "-"' if json else b"wrote    standard output: ") in done.stderr
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == ["ckpt.pt", "m.onnx"]


def test_a_terminal_is_refused_before_any_work(checkpoint: Path) -> None:
    ours, theirs = pty.openpty()
    done = convert(checkpoint, "-", stdout=theirs)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: --out - would write bytes to the terminal\n")
    assert b"next: add > FILE or | PROGRAM, or name a file" in done.stderr


@pytest.mark.heavy
def test_a_file_behind_it_that_may_not_grow(checkpoint: Path) -> None:
    limit = (LARGEST_BYTES, LARGEST_BYTES)
    with checkpoint.with_name("m.onnx").open("wb") as file:
        done = convert(
            checkpoint,
            "-",
            stdout=file.fileno(),
            before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[:2] == [
        b"error: cannot write to standard output",
        b"  received: File too large",
    ]


@pytest.mark.heavy
def test_a_reader_that_goes_away(checkpoint: Path) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = convert(checkpoint, "-", stdout=writes)
    os.close(writes)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_a_file_of_that_name_is_reached_by_its_whole_path(checkpoint: Path) -> None:
    refused = CliRunner().invoke(group, ["fit", "--from", str(checkpoint), "--out", "-"])
    assert f"name a file; {Path.cwd() / '-'} is one of that name" in str(refused.exception)


def in_a_shell(command: str, redirection: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    line = f"{sys.executable} {' '.join(options)} -m legoexport {command} {redirection}"
    return subprocess.run(
        ["bash", "-c", line],  # noqa: S607
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("options", [["-u"], []], ids=["unbuffered", "buffered"])
@pytest.mark.parametrize("command", ["targets", "targets --json"])
@pytest.mark.parametrize(
    ("redirection", "received"),
    [(">&-", b"Bad file descriptor"), (">/dev/full", b"No space left on device")],
)
def test_a_report_that_cannot_be_written(
    command: str, redirection: str, received: bytes, options: list[str]
) -> None:
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this system has no device that is always full")
    done = in_a_shell(command, redirection, *options)
    assert done.returncode == 2
    assert done.stderr.splitlines()[:2] == [
        b"error: cannot write to standard output",
        b"  received: " + received,
    ]
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_a_closed_stderr_takes_no_exit_code() -> None:
    assert in_a_shell("bench 'no such file.onnx'", "<&- >&- 2>&-").returncode == 2


def test_no_file_takes_the_place_of_a_closed_stream() -> None:
    program = (
        "import os, sys; from legoexport.host.standard_output import fill_closed_streams;"
        " fill_closed_streams(); print('lost', file=sys.stderr);"
        " sys.exit(os.open('/dev/null', os.O_RDONLY) < 3)"
    )
    line = f'{sys.executable} -c "{program}" <&- >&- 2>&-'
    assert subprocess.run(["bash", "-c", line], check=False).returncode == 0  # noqa: S607


def test_a_reader_that_is_gone_meets_no_late_flush() -> None:
    done = in_a_shell("--help", "| true; exit ${PIPESTATUS[0]}")
    assert (done.returncode in (0, 1), done.stderr) == (True, b"")


@pytest.mark.parametrize(
    "surroundings",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "utf-8:strict"},
    ],
)
def test_letters_that_the_locale_does_not_know(surroundings: dict[str, str]) -> None:
    program = (
        "import os; from legoexport.host.standard_output import told_output\n"
        r"with told_output(): print('\xf6', os.fsdecode(b'\xff'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={**os.environ, **surroundings},
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"\xc3\xb6 \xff\n", b"")

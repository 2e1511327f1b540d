"""The command line as a whole: help, exit codes, messages, and what it does not load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

import legoexport
from legoexport.cli import COMMANDS, group, main
from legoexport.commands.convert_options import preference
from legoexport.errors import CheckFailed, LegoExportError, UsageError
from legoexport.models.registry import find_architecture
from legoexport.ort.providers import find_provider
from legoexport.passes.lowerings import find_lowering
from legoexport.runtimes import find_runtime
from legoexport.target import find_target
from legoexport.training.recipe import choose


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "legoexport", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def exit_code(*arguments: str) -> object:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return stop.value.code


def test_help_lists_every_command_in_plain_text() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in COMMANDS)
    assert done.stdout.isascii()
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_says_what_it_does(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(name, "--help") == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: legoexport {name}")
    assert out.isascii()


def test_version_is_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("--version") == 0
    assert legoexport.__version__ in capsys.readouterr().out


@pytest.mark.parametrize(
    "program",
    [
        "import legoexport",
        "from legoexport.cli import main; main(['--help'])",
        "from legoexport.cli import main; main(['bench', '--help'])",
        "from legoexport.cli import main; main(['bench', 'no such file.onnx'])",
    ],
)
def test_what_needs_no_torch_does_not_load_it(program: str) -> None:
    check = f"import sys\ntry:\n    {program}\nexcept SystemExit:\n    pass\n"
    check += "sys.exit(99 if 'torch' in sys.modules else 0)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("bad value", received=3, legal="1 or 2", next_step="give 1"), 2),
        (CheckFailed("it differs"), 1),
        (LegoExportError("it failed"), 1),
    ],
)
def test_errors_become_messages_and_exit_codes(
    error: LegoExportError,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(group, "main", fail)
    assert exit_code("bench") == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"error: {error}\n")


def test_an_interrupt_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(group, "main", interrupt)
    assert exit_code() == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("arguments", [["fly"], ["bench"], ["bench", "a.onnx", "--fast"]])
def test_bad_usage_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(*arguments) == 2
    assert "Usage:" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["bench", "verify", "predict", "report"])
def test_threads_that_onnx_runtime_would_not_get_to_run_are_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(command, "--threads", "257") == 2
    assert "257 is not in the range 1<=x<=256" in capsys.readouterr().err


@pytest.mark.parametrize("threads", ["", "1;2", "1,257"])
def test_threads_to_plan_for_are_checked(threads: str) -> None:
    with pytest.raises(UsageError, match="such as 1 or 1,4, each up to 256"):
        preference("latency", threads, ort_format=False)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["convrt"], "'convert'"),
        (["INSPECT"], "'inspect'"),
        (["legofy", "--from", "dense.pt"], "'legofy' is called 'fit'"),
        (["bench", "a.onnx", "--thread", "1"], "'--threads'"),
    ],
)
def test_a_slip_on_the_command_line_is_told_what_was_meant(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert meant in captured.err


def test_what_is_close_to_nothing_gets_the_whole_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("fly") == 2
    listed = capsys.readouterr().err
    assert all(name in listed for name in COMMANDS)


@pytest.mark.parametrize(
    ("find", "name", "meant"),
    [
        (find_target, "arm46", "arm64"),
        (find_provider, "xnnpak", "xnnpack"),
        (find_provider, "cpus", "cpu"),
        (find_runtime, "wsam", "wasm"),
        (find_runtime, "arm64:neoverse_n1", "arm64:neoverse-n1"),
        (find_lowering, "grouped_dense_merg", "grouped_dense_merge"),
        (find_architecture, "lego_vgg-16", "lego_vgg16"),
        (find_architecture, "VGG16", "vgg16"),
        (choose, "papr", "paper"),
    ],
)
def test_every_table_of_names_says_which_was_meant(
    find: Callable[[str], object], name: str, meant: str
) -> None:
    with pytest.raises(UsageError) as caught:
        find(name)
    message = str(caught.value)
    assert f"received: {name}" in message
    assert message.endswith(f"next: did you mean {meant}?")


def test_a_name_like_no_other_gets_the_next_step_that_it_has() -> None:
    error = UsageError.unknown("colour", "xyz", ["red", "blue"], next_step="look at the sky")
    assert str(error) == "\n  ".join(
        ["unknown colour", "received: xyz", "legal: red, blue", "next: look at the sky"]
    )

"""``legoexport report``: what it refuses, what it writes, and the commands that it prints."""

from __future__ import annotations

import importlib.util
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest

from legoexport.cli import group
from legoexport.commands import report
from legoexport.measure.options import BenchOptions
from legoexport.report.facts import Facts
from runtime_tests.command_line import legoexport


@pytest.fixture
def gathered(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> Facts:
    """Facts without the minutes that they take."""
    monkeypatch.setattr(report, "_gather", lambda *_: facts)
    return facts


def test_it_writes_the_page_and_the_verdict(
    gathered: Facts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "report.html"
    assert legoexport("report", "ckpt.pt", "model.onnx", "--out", out) == 0
    assert out.read_text().startswith("<!DOCTYPE html>")
    assert capsys.readouterr().out.startswith("Proved")


def test_a_failed_check_is_written_and_ends_with_1(
    gathered: Facts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [replace(one, limit_ratio=2.0) for one in gathered.verification.layers]
    failed = replace(
        gathered.verification, layers=tuple(layers), diagnosis=("layer first is wrong",)
    )
    monkeypatch.setattr(report, "_gather", lambda *_: replace(gathered, verification=failed))
    out = tmp_path / "report.html"
    assert legoexport("report", "ckpt.pt", "model.onnx", "--out", out) == 1
    page = out.read_text()
    assert 'class="bad">Not proved' in page
    assert "layer first is wrong" in page


def test_it_never_writes_over_an_input(gathered: Facts, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"kept")
    (tmp_path / "same").symlink_to(model)
    arguments = ("report", tmp_path / "ckpt.pt", model, "--out", tmp_path / "same", "--force")
    assert legoexport(*arguments) == 2
    assert model.read_bytes() == b"kept"


def test_a_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def find(name: str, *_: Any) -> object:
        return None if name == "jinja2" else real(name)

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", find)
    assert legoexport("report", "a.pt", "b.onnx", "--out", tmp_path / "r.html") == 2
    message = capsys.readouterr().err
    assert "jinja2" in message
    assert "legoexport[report]" in message


def test_one_file_is_not_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert legoexport("report", "a.pt", "--out", tmp_path / "r.html") == 2
    assert "CHECKPOINT MODEL.onnx" in capsys.readouterr().err


def test_commands_that_are_printed_can_be_typed() -> None:
    words = ["my ckpt.pt", "m.onnx", "--arch", "lego_digits", "--set", "o=2", "--mean", "0.5"]
    words += ["--input-size", "8", "8", "--weights", "ema", "--vs", "d.onnx", "--data", "x y.npz"]
    command = group.get_command(click.Context(group), "report")
    assert command is not None
    given = [*words, "--threads", "2", "--out", "report.html"]
    with command.make_context("report", given) as context:
        params = context.params
        options = BenchOptions(2, profile=True)
        checkpoint, model = params["files"]
        commands = report._commands(checkpoint, model, params["other"], params["data"], options)
    for name in ("report", "verify", "inspect", "bench"):
        program, subcommand, *arguments = shlex.split(getattr(commands, name))
        assert (program, subcommand) == ("legoexport", name)
        parsed = group.get_command(click.Context(group), name)
        assert parsed is not None
        parsed.make_context(name, arguments)
    again = shlex.split(commands.report)[2:]
    with command.make_context("report", again) as context:
        assert context.params == params

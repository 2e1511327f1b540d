"""Options that would change nothing, and times that never end, are refused before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from legoexport.cli import group
from legoexport.errors import UsageError

CONVERT = "convert no.pt --out m.onnx"


def run(line: str) -> Result:
    return CliRunner().invoke(group, line.split())


@pytest.mark.parametrize(
    ("given", "owner"),
    [
        ("--budget 5", "--tune"),
        ("--runtime wasm", "--tune"),
        ("--calibration mse", "--precision int8"),
    ],
)
def test_an_option_without_its_owner_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, owner: str
) -> None:
    monkeypatch.chdir(tmp_path)
    error = run(f"{CONVERT} {given}").exception
    assert isinstance(error, UsageError)
    assert f"{given.split(maxsplit=1)[0]} changes nothing without {owner}" in str(error)
    # With its owner, something else is at fault: the checkpoint is missing, or pictures are.
    other = run(f"{CONVERT} {given} {owner}").exception
    assert isinstance(other, UsageError)
    assert "changes nothing" not in str(other)


@pytest.mark.parametrize(
    "line",
    [
        "bench no.onnx --duration",
        "report no.pt no.onnx --out r.html --duration",
        "train --arch digits --data digits --out d.pt --save-every",
        "sweep --arch lego_digits --data digits --out s --bench-seconds",
    ],
)
@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        ("nan", "nan is not a finite number of seconds"),
        ("inf", "inf is not a finite number of seconds"),
        ("-1", "-1.0 is not in the range"),
    ],
)
def test_a_time_is_finite(line: str, seconds: str, message: str) -> None:
    result = run(f"{line} {seconds}")
    assert result.exit_code == 2
    assert message in result.output
    assert line.rsplit(maxsplit=1)[-1] in result.output

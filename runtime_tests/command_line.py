"""The command line, run in this process as a user runs it."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

import pytest

from legoexport.cli import main


@dataclass(frozen=True)
class Finished:
    """What a command that has ended left to read."""

    returncode: int
    stdout: str
    stderr: str


def legoexport(*arguments: object) -> int:
    """Run a command and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return int(str(ended.value.code))


def legoexport_in(folder: Path, *arguments: object) -> Finished:
    """Run a command in a folder; a fixture of any scope may."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = legoexport(*arguments)
    return Finished(code, out.getvalue(), err.getvalue())

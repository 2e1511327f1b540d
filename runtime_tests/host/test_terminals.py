"""Tables on terminals: drawn where they fit, whole lines where they do not."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

TABLE = """
from legoexport.host.report import print_table
print_table("T", ["layer", "bytes"], [["features.3", "18.8 kB"]])
"""
WHOLE_LINES = ["T", "layer         bytes", "features.3  18.8 kB"]


def printed_on_a_terminal(columns: int) -> list[str]:
    """What the table looks like on a terminal that wide."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-c", TABLE], stdout=theirs, env=environment) as child:
        os.close(theirs)
        content = b""
        while part := _read(ours):
            content += part
        assert child.wait() == 0
    os.close(ours)
    return content.decode().split("\r\n")[:-1]


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # how a terminal says that nobody writes to it any more
        return b""


@pytest.mark.parametrize("columns", [1, 20])
def test_a_narrow_terminal_gets_whole_lines(columns: int) -> None:
    assert printed_on_a_terminal(columns) == WHOLE_LINES


def test_a_wide_one_gets_a_drawing() -> None:
    drawn = "\n".join(printed_on_a_terminal(100))
    assert "┃" in drawn
    assert "features.3" in drawn
    assert "18.8 kB" in drawn

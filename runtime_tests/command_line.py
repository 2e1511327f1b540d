"""The command line, run in this process as a user runs it."""

from __future__ import annotations

import pytest

from legoexport.cli import main


def legoexport(*arguments: object) -> int:
    """Run a command and return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    return int(str(ended.value.code))

"""Programs that a test needs and a machine may lack: a skip that is counted, or a failure."""

from __future__ import annotations

import os

import pytest

# Set where everything is installed, such as in .ci/run, so that no skip can hide a hole.
REQUIRED = "LEGOEXPORT_REQUIRE_RUNTIMES"


def skip_or_fail(reason: str | None) -> None:
    """Do nothing if there is no reason; otherwise skip, or fail where nothing may be missing."""
    if reason is None:
        return
    if os.environ.get(REQUIRED, "0") not in ("", "0"):
        pytest.fail(reason)
    pytest.skip(reason)

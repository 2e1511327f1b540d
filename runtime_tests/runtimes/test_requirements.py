"""A missing runtime is a skip with a reason, and a failure where skips are not allowed."""

from __future__ import annotations

import pytest

from legoexport.errors import UsageError
from runtime_tests.conftest import REQUIRE, missing

PROBLEM = UsageError("Node.js is not installed", received="no node", next_step="install it")


def test_a_skip_gives_the_reason_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRE, raising=False)
    with pytest.raises(pytest.skip.Exception) as caught:
        missing(PROBLEM)
    said = "Node.js is not installed (received: no node; next: install it)"
    assert str(caught.value) == said


def test_where_runtimes_are_required_it_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRE, "1")
    with pytest.raises(pytest.fail.Exception, match="not installed"):
        missing(PROBLEM)

"""Ctrl-C and SIGTERM at any moment, imports included: nothing is lost, nothing is left."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from legoexport.signals import WORDS
from runtime_tests.kills import FAILURES, Runner, kill_conversions, kill_trainings

pytestmark = pytest.mark.heavy
DRAW = random.Random(3)  # noqa: S311 - no secret


def test_interrupted_conversions(tmp_path: Path) -> None:
    found = kill_conversions(Runner(tmp_path, tuple(WORDS), fresh=True), 3, DRAW)
    assert not any(found[failure] for failure in FAILURES), found


def test_interrupted_trainings(tmp_path: Path) -> None:
    found = kill_trainings(Runner(tmp_path, tuple(WORDS), fresh=True), 2, DRAW)
    assert not any(found[failure] for failure in FAILURES), found
    assert found["equal to the bit"]


@pytest.mark.parametrize("after_s", [1.0, 12.0, 30.0])
def test_an_interrupted_sweep_leaves_no_half_file(after_s: float, tmp_path: Path) -> None:
    out = tmp_path / "swept"
    runner = Runner(tmp_path, (signal.SIGTERM,), fresh=True)
    sweep = "sweep --data digits --epochs 1 --o 2 --m 0.5 --coefficients on --bench-seconds 30"
    ended = runner.run([*sweep.split(), "--out", str(out)], after_s)
    assert ended.code in (143, -15), ended
    assert "Traceback" not in ended.said
    if ended.code == 143:
        assert ended.said.endswith(("terminated\n", "the same command goes on\n")), ended
    assert runner.left_behind() == []
    assert not [path for path in out.rglob(".*") if path.is_file()]

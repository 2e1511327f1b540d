"""A short campaign; the long one is ``python -m runtime_tests.hostile --count 10000 --seed N``."""

from pathlib import Path
from random import Random

import pytest

from legoexport.errors import CheckpointError
from runtime_tests.hostile import campaign
from runtime_tests.hostile.mutate import Attack, craft
from runtime_tests.hostile.seeds import CONTAINERS

COUNT = 150


def test_short_campaign(tmp_path: Path) -> None:
    counts = campaign.run(tmp_path, COUNT, seed=0)
    assert counts.are_clean, "\n".join(counts.faults)
    assert counts.read + counts.refused == COUNT


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_seed_makes_the_same_file_again(container: str) -> None:
    first, second = (craft(Random(7), container, Attack("x")) for _ in "ab")  # noqa: S311
    assert first == second


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (KeyError("planted"), "foreign"),
        (MemoryError(), "large"),
        (CheckpointError("x" * 9999), "long"),
    ],
)
def test_a_planted_fault_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, kind: str
) -> None:
    def fail(_data: bytes) -> None:
        raise fault

    monkeypatch.setattr(campaign, "read_checkpoint", lambda *_, **__: fail(b""))
    counts = campaign.run(tmp_path, 3, seed=0)
    assert getattr(counts, kind) == 3
    assert not counts.are_clean


def test_a_planted_call_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentinel = tmp_path / "sentinel"
    monkeypatch.setattr(campaign, "read_checkpoint", lambda *_, **__: sentinel.touch())
    assert campaign.run(tmp_path, 3, seed=0).executed == 3

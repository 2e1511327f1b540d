"""Records: frozen, checked, the same after a file, and ratios by pairs of rounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.labels import DENSE, TUNED
from benchmarks.records import Entry, Profile, Race, Taken, read_profile, read_race
from benchmarks.store import profiles, races
from legoexport.errors import UsageError


def test_a_record_cannot_be_changed(make_race: Callable[..., Race], profile: Profile) -> None:
    race = make_race()
    for record, field in ((race, "threads"), (race.entries[0], "label"), (profile, "times")):
        with pytest.raises(FrozenInstanceError):
            setattr(record, field, 1)


def test_a_record_survives_json(make_race: Callable[..., Race], profile: Profile) -> None:
    race = make_race()
    assert read_race(json.loads(json.dumps(race.to_json()))) == race
    assert read_profile(json.loads(json.dumps(profile.to_json()))) == profile


@pytest.mark.parametrize("restarts_ms", [(), ((),), ((1.0,), ()), ((1.0, 0.0),), ((-1.0,),)])
def test_no_clock_gives_such_latencies(restarts_ms: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(UsageError, match="latencies"):
        Entry("x", 1, None, 0.0, restarts_ms)


def test_a_slower_moment_that_all_share_leaves_the_ratio_alone(
    make_race: Callable[..., Race],
) -> None:
    race = make_race()
    ours, dense = race.find(TUNED), race.find(DENSE)
    assert ours is not None
    assert dense is not None
    ratio = ours.speedup_over(dense)
    assert ratio.estimate_ratio == pytest.approx(4.0)
    assert ratio.low_ratio == pytest.approx(4.0)
    assert ratio.high_ratio == pytest.approx(4.0)
    assert race.find("nothing") is None


@pytest.mark.parametrize(
    "other",
    [{"source": "other passes"}, {"budget_min": 50.0}, {"machine": {"cpu_model": "Another"}}],
)
def test_what_would_be_measured_otherwise_is_not_held(
    make_race: Callable[..., Race], taken: Taken, tmp_path: Path, other: dict[str, Any]
) -> None:
    store, race = races("networks", tmp_path), make_race()
    assert not store.holds(race.key, taken)
    store.add(race)
    assert races("networks", tmp_path).holds(race.key, taken)
    assert not races("networks", tmp_path).holds(race.key, replace(taken, **other))
    assert store.holds(race.key, replace(taken, budget_min=2.0, date="2026-02-03"))


def test_the_store_replaces_and_keeps_its_order(
    make_race: Callable[..., Race], taken: Taken, tmp_path: Path
) -> None:
    store, race, second = races("networks", tmp_path), make_race(), make_race(threads=4)
    store.add(race)
    store.add(second)
    newer = replace(race, taken=replace(taken, source="other passes"))
    races("networks", tmp_path).add(newer)
    assert races("networks", tmp_path).records == (newer, second)


def test_a_table_never_mixes_machines(
    make_race: Callable[..., Race], taken: Taken, tmp_path: Path
) -> None:
    store, race = races("networks", tmp_path), make_race()
    store.add(make_race(threads=4))
    elsewhere = replace(race, taken=replace(taken, machine={"cpu_model": "Another"}))
    store.add(elsewhere)
    assert races("networks", tmp_path).records == (elsewhere,)


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "layers.json").write_text('[{"subject": 1}]')
    with pytest.raises(UsageError, match=r"layers\.json"):
        profiles(tmp_path)

"""Records: frozen, checked, the same after a file, and ratios by pairs of rounds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

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
    ratio = race.speedup(ours, dense)
    assert ratio.estimate_ratio == pytest.approx(4.0)
    assert ratio.low_ratio == pytest.approx(4.0)
    assert ratio.high_ratio == pytest.approx(4.0)
    assert race.find("nothing") is None


def test_the_store_knows_what_other_passes_measured(
    make_race: Callable[..., Race], taken: Taken, tmp_path: Path
) -> None:
    store, race = races("networks", tmp_path), make_race()
    assert not store.holds(race.key, "abc")
    store.add(race)
    store.add(make_race(threads=4))
    again = races("networks", tmp_path)
    assert again.records == (race, make_race(threads=4))
    assert again.holds(race.key, "abc")
    assert not again.holds(race.key, "other passes")
    newer = replace(race, taken=replace(taken, source="other passes"))
    again.add(newer)
    assert races("networks", tmp_path).records == (newer, make_race(threads=4))


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    (tmp_path / "layers.json").write_text('[{"subject": 1}]')
    with pytest.raises(UsageError, match=r"layers\.json"):
        profiles(tmp_path)

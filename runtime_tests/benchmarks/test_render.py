"""The document is made from records alone, whichever of them there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.labels import DEFAULT, DENSE, GROUPED
from benchmarks.records import LayerTime, Profile, Race
from benchmarks.render import tables, write_document
from benchmarks.render.style import spread
from benchmarks.store import OTHER_MACHINES, profiles, races


@pytest.fixture(scope="module")
def results(
    make_race: Callable[..., Race], profile: Profile, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("records") / "results"
    for part in ("networks", "peers"):
        races(part, folder).add(make_race())
        races(part, folder).add(make_race(threads=4))
    dense = replace(profile, label=DENSE, times=(LayerTime("other", "", 20.0),))
    for record in (profile, dense):
        profiles(folder).add(record)
    for name in ("size 32", "size 64", "batch 1", "n/m 1", "n/m 2", "threads 1"):
        race = make_race(name)
        direct = replace(race.entries[1], label=GROUPED)
        entries = (race.entries[0], direct, race.entries[2])
        assert race.entries[2].label == DEFAULT
        races("curves", folder).add(replace(race, entries=entries, absent=()))
    return folder


@pytest.fixture(scope="module")
def document(results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("docs") / "benchmarks.md"
    write_document(results, path)
    return path


def test_tables_hold_latency_ratio_and_interval(document: Path) -> None:
    text = document.read_text()
    row = "| Net@32 | 1 | 16.4 | 12.3 | 8.2 | 4.1 | 4.00x [4.00, 4.00] | 3.00x [3.00, 3.00]"
    assert row in text
    assert "| Net@32 | 4 |" in text
    assert "A processor" in text
    assert "`python -m benchmarks`" in text
    assert "OpenVINO is not installed" in text
    assert "| 5.00 | 2.00 | 1.00 | 0.75 | 8.75 |" in text
    assert "- size, 1 thread, the default plan: 2.00x at size" in text
    for name in ("tradeoff", "parts", "layers", "curves"):
        assert f"figures/benchmarks/{name}.svg" in text
        assert (document.parent / "figures" / "benchmarks" / f"{name}.svg").stat().st_size > 1000


def test_the_same_records_give_the_same_bytes(
    document: Path, results: Path, tmp_path: Path
) -> None:
    write_document(results, tmp_path / "benchmarks.md")
    written = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (document.parent, tmp_path)
    ]
    assert len(written[0]) > 1
    assert written[0] == written[1]


def test_parts_not_measured_yet_are_left_out(
    make_race: Callable[..., Race], tmp_path: Path
) -> None:
    races("peers", tmp_path).add(make_race())
    write_document(tmp_path, tmp_path / "benchmarks.md")
    text = (tmp_path / "benchmarks.md").read_text()
    assert "## Other runtimes" in text
    assert "## Networks" not in text
    assert "figures/" not in text


def test_narrower_registers_have_a_column_each(
    make_race: Callable[..., Race], tmp_path: Path
) -> None:
    for threads in (1, 4):
        races("networks", tmp_path).add(make_race("Net@32", threads))
    races("networks", tmp_path / "avx2").add(make_race("Net@32", 4))
    write_document(tmp_path, tmp_path / "benchmarks.md")
    text = (tmp_path / "benchmarks.md").read_text()
    assert "| network | threads | all | avx2 |\n" in text
    assert "| Net@32 | 1 | 4.00x [4.00, 4.00] | - |\n" in text
    assert "| Net@32 | 4 | 4.00x [4.00, 4.00] | 4.00x [4.00, 4.00] |\n" in text
    assert "`python -m benchmarks networks --up-to avx2`" in text


def test_another_processor_has_a_table_of_its_own(
    make_race: Callable[..., Race], tmp_path: Path
) -> None:
    races("networks", tmp_path).add(make_race("Net@32", 4))
    write_document(tmp_path, tmp_path / "benchmarks.md")
    alone = (tmp_path / "benchmarks.md").read_text()
    races("networks", tmp_path / OTHER_MACHINES[0]).add(make_race("Other@32", 2))
    write_document(tmp_path, tmp_path / "benchmarks.md")
    both = (tmp_path / "benchmarks.md").read_text()
    start, end = both.index("## Other processors"), both.index("| Other@32 | 2 |")
    assert start < end
    assert both.startswith(alone.rstrip())  # nothing else is touched


def test_a_model_that_was_not_timed_is_a_dash(make_race: Callable[..., Race]) -> None:
    row = tables.peer_table([make_race()]).splitlines()[-1]
    latencies = "| 16.4 | 4.1 | 6.15 | - | - | - |"
    assert row.endswith(f"{latencies} 1.50x [1.50, 1.50] | - |")


def test_the_worst_error_is_the_largest(make_race: Callable[..., Race]) -> None:
    race = make_race()
    worse = replace(race, entries=(replace(race.entries[0], error_ratio=3e-5),))
    assert tables.worst_error_ratio([race, worse, race]) == pytest.approx(3e-5)


def test_labels_keep_their_order_and_their_distance() -> None:
    assert spread([3.0, 1.0, 1.5], 1.0) == [3.0, 1.0, 2.0]
    assert spread([], 1.0) == []

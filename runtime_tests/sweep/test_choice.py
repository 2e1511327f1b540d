"""Which network a sweep recommends."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from legoexport.cli import main
from legoexport.commands.sweep_limits import parse_limits
from legoexport.errors import UsageError
from legoexport.sweep.choice import Limits, Network, is_unbeaten, read_networks, recommend

TABLE = """design,accuracy,latency_ms,size_bytes
dense,0.98,0.4,4400000
dense-w0.35,0.97,0.1,600000
o2,0.96,0.2,700000
"""
networks = st.lists(
    st.builds(
        Network,
        st.text("ab", min_size=1),
        st.sampled_from([0.5, 0.75, 0.9]),
        st.sampled_from([1.0, 2.0, 4.0]),
        st.sampled_from([10, 20, 40]),
    ),
    min_size=1,
    max_size=6,
)


@given(networks)
def test_unbeaten_are_those_of_numpy(table: list[Network]) -> None:
    merits = np.array([[n.accuracy, -n.latency_ms, -n.size_bytes] for n in table])
    no_worse = (merits[:, None] >= merits[None]).all(axis=2)
    better = (merits[:, None] > merits[None]).any(axis=2)
    expected = ~(no_worse & better).any(axis=0)
    assert [is_unbeaten(one, table) for one in table] == expected.tolist()
    assert expected.any()


@given(networks, st.sampled_from([None, 15, 30]), st.sampled_from([None, 0.6, 0.95]))
def test_within_the_limits_none_is_more_accurate(
    table: list[Network], size: int | None, accuracy: float | None
) -> None:
    chosen = recommend(table, Limits(max_size_bytes=size, min_accuracy=accuracy))
    keeping = [
        n
        for n in table
        if (size is None or n.size_bytes <= size) and (accuracy is None or n.accuracy >= accuracy)
    ]
    assert (not chosen.misses) == bool(keeping)
    if keeping:
        assert chosen.network in keeping
        assert chosen.network.accuracy == max(n.accuracy for n in keeping)


def test_the_closest_has_the_smallest_farthest_miss() -> None:
    slow, large = Network("slow", 0.9, 2.0, 10), Network("large", 0.9, 1.0, 15)
    chosen = recommend([slow, large], Limits(max_size_bytes=10, max_latency_ms=1.0))
    assert chosen.network is large
    assert chosen.misses == {"size": pytest.approx(0.5)}


def test_limits_have_units() -> None:
    assert parse_limits("4MB", "500us", "90") == Limits(4_000_000, 0.5, 0.9)
    assert parse_limits(None, "1 s", "90.5%") == Limits(None, 1000.0, 0.905)


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (("4", None, None), "--max-size"),
        (("-4MB", None, None), "--max-size"),
        (("infMB", None, None), "--max-size"),
        (("4Mb", None, None), "--max-size"),
        ((None, "5", None), "--max-latency"),
        ((None, "5MB", None), "--max-latency"),
        ((None, None, "101"), "--min-accuracy"),
        ((None, None, "good"), "--min-accuracy"),
    ],
)
def test_a_wrong_limit_is_named(
    texts: tuple[str | None, str | None, str | None], name: str
) -> None:
    with pytest.raises(UsageError, match=rf"{name}[^$]*received[^$]*legal"):
        parse_limits(*texts)


def exit_code(*arguments: str) -> object:
    try:
        main(list(arguments))
    except SystemExit as stop:
        return stop.code or 0
    return 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recommend"], "holds no finished sweep"),
        (["--max-size", "1MB", "--data", "digits"], "only --recommend takes limits"),
        ([], "--data names the pictures"),
    ],
)
def test_a_call_that_makes_no_sense_is_explained(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("sweep", "--out", str(tmp_path), *arguments) == 2
    assert message in capsys.readouterr().err


def test_the_command_reads_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "table.csv").write_text(TABLE)
    out = ["sweep", "--recommend", "--out", str(tmp_path)]
    assert exit_code(*out, "--max-size", "1MB", "--max-latency", "5ms") == 0
    assert capsys.readouterr().out == "dense-w0.35: 97.00%, 0.100 ms, 600 kB\n"
    assert exit_code(*out, "--min-accuracy", "99", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["network"]["name"], record["keeps_limits"]) == ("dense", False)
    assert record["misses"] == {"accuracy": pytest.approx(1 / 99)}


@pytest.mark.parametrize("number", ["nan", "inf", "fast"])
def test_a_table_without_finite_numbers_is_refused(number: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(TABLE.replace("0.1,", f"{number},"))
    with pytest.raises(UsageError, match="not as the sweep wrote it"):
        read_networks(tmp_path)

"""Two conversions side by side, read from what ``convert --json`` really prints."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from legoexport.errors import UsageError
from legoexport.quantize.cost import RoundingCost
from legoexport.report.compare import comparison_verdict, render_comparison
from legoexport.report.converted import read_converted
from runtime_tests.command_line import legoexport
from runtime_tests.networks import small_net
from runtime_tests.report.conftest import COST, HOSTILE
from runtime_tests.report.test_page import Elements


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("converted")
    torch.save(small_net().state_dict(), folder / "w.pt")
    how = ("--model", "runtime_tests.networks:small_net", "--input-size", "12", "10")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert (
            legoexport("convert", folder / "w.pt", *how, "--out", folder / "m.onnx", "--json") == 0
        )
    found: dict[str, Any] = json.loads(printed.getvalue())
    return found


def write(path: Path, record: dict[str, Any], **changes: Any) -> Path:
    path.write_text(json.dumps(record | changes))
    return path


@pytest.fixture
def pair(tmp_path: Path, record: dict[str, Any]) -> tuple[Path, Path]:
    smaller = record["size_bytes"] // 2
    int8 = {"cost": RoundingCost((COST,), ()).to_json()}
    changes = {"size_bytes": smaller, "precision": "int8", "int8": int8, "out": f"{HOSTILE}.onnx"}
    return write(tmp_path / "a.json", record), write(tmp_path / "b.json", record, **changes)


def test_what_was_printed_is_read(record: dict[str, Any], pair: tuple[Path, Path]) -> None:
    a, b = map(read_converted, pair)
    assert a.size_bytes == record["size_bytes"] == a.stored.total_bytes
    assert a.totals.macs == record["totals"]["counted_macs"]
    assert a.lowerings == record["plan"]
    assert [one.to_json() for one in a.partitions] == [
        {**one, "unsupported_ops": tuple(one["unsupported_ops"])} for one in record["partitions"]
    ]
    assert (a.cost, b.cost) == (None, RoundingCost((COST,), ()))


def test_the_verdict_says_which_is_smaller(pair: tuple[Path, Path]) -> None:
    a, b = map(read_converted, pair)
    assert "B is 2.00x smaller" in comparison_verdict(a, b)
    assert "B is 2.00x larger" in comparison_verdict(b, a)
    assert "B is as large as A" in comparison_verdict(a, a)


def test_the_page_holds_names_as_text(compared_page: str) -> None:
    elements = Elements(compared_page)
    assert "1 of 1 layers compute in int8; the least SQNR is 38.5 dB" in compared_page
    assert elements.named("script") == []
    assert HOSTILE in elements.text
    assert "http" not in compared_page.replace("http-equiv", "")
    identifiers = [found["id"] for _, found in elements.found if "id" in found]
    assert len(identifiers) == len(set(identifiers))


def test_a_failed_proof_is_not_called_one(record: dict[str, Any], tmp_path: Path) -> None:
    failed = {**record["parity"], "passed": False, "relative_error": None}
    a = read_converted(write(tmp_path / "a.json", record))
    b = read_converted(write(tmp_path / "b.json", record, parity=failed))
    assert comparison_verdict(a, b).startswith("Not proved: B;")
    assert 'class="bad"' in render_comparison((a, b), "").decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"totals": None},
        {"partitions": [{"provider": "NNAPI"}]},
        {"audit": 3},
        {"size_bytes": "many"},
        {"int8": {"cost": {"layers": [{}]}}},
    ],
    ids=str,
)
def test_another_file_is_refused(
    record: dict[str, Any], tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(UsageError, match="does not describe a conversion"):
        read_converted(write(tmp_path / "a.json", record, **changes))


def test_the_command_compares(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "compared.html"
    assert legoexport("report", "--compare", *pair, "--out", out) == 0
    assert "beside" in out.read_text()
    assert legoexport("report", "--compare", *pair, "--out", pair[0], "--force") == 2
    assert legoexport("report", "ckpt.pt", "--compare", *pair, "--out", out) == 2

"""The page of other engines: what counts as right, and what is told of the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.engines.__main__ import WORKER
from benchmarks.engines.engines import ENGINES
from benchmarks.engines.records import RESULTS, Outcome, Table
from benchmarks.engines.render import DOCUMENT, write_document

RIGHT = Outcome("A", "1", "digits", "cpu", 1e-6)
DENSE = Outcome("A", "1", "digits", None, 1e-6)
WRONG = Outcome("B", "2", "digits", "cpu", 0.5)
REFUSED = Outcome("B", "2", "digits", "web", None, "no | such `op`")


def test_the_document_counts_what_is_right_and_says_the_rest(tmp_path: Path) -> None:
    table = Table("a machine", "2026-01-01", (DENSE, RIGHT, WRONG, REFUSED))
    table.save(tmp_path / "table.json")
    assert Table.load(tmp_path / "table.json") == table
    write_document(table, tmp_path / "engines.md")
    text = (tmp_path / "engines.md").read_text()
    assert "| A 1 | 2 of 2 | 1.0e-06 |" in text
    assert "| B 2 | 0 of 2 | 5.0e-01 |" in text
    assert "| B | digits | cpu | `error 5.0e-01` |" in text
    assert "| B | digits | web | `no / such 'op'` |" in text


def test_the_page_is_what_the_records_give(tmp_path: Path) -> None:
    write_document(Table.load(RESULTS), tmp_path / "engines.md")
    assert (tmp_path / "engines.md").read_text() == DOCUMENT.read_text()


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_every_engine_has_its_file(engine: object) -> None:
    assert any(engine is one and one.adapter_path.is_file() for one in ENGINES)


def test_the_worker_runs_a_file_and_tells_why_it_cannot(tmp_path: Path) -> None:
    (reference,) = (one for one in ENGINES if one.adapter == "reference")
    graph = onnx.parser.parse_graph("g (float[1, 2] x) => (float[1, 2] y) { y = Neg (x) }")
    onnx.save(onnx.helper.make_model(graph), tmp_path / "model.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    np.save(tmp_path / "x.npy", np.array([[1, -2]], np.float32))

    def said(name: str) -> dict[str, object]:
        command = [sys.executable, str(WORKER), str(reference.adapter_path), str(tmp_path / name)]
        command += [str(tmp_path / "x.npy"), "--out", str(tmp_path / "y.npy")]
        found: dict[str, object] = json.loads(subprocess.check_output(command).splitlines()[-1])
        return found

    assert said("model.onnx") == {}
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), [[-1, 2]])
    assert "message" in said("broken.onnx")

"""The page of other engines: what counts as right, what is timed, and what is told of the rest."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from benchmarks.engines import client
from benchmarks.engines.adapters.kept import kept, run
from benchmarks.engines.adapters.said import against_onnx2tf, against_pnnx
from benchmarks.engines.client import Client, start
from benchmarks.engines.engines import ENGINES, Engine
from benchmarks.engines.environments import environment
from benchmarks.engines.latency import Course, measure
from benchmarks.engines.models import Case
from benchmarks.engines.records import RESULTS, Absent, Latency, Outcome, Table
from benchmarks.engines.render import DOCUMENT, write_document
from benchmarks.engines.right import judge
from legoexport.errors import CheckFailed

RIGHT = Outcome("A", "1", "digits", "cpu", 1e-6)
DENSE = Outcome("A", "1", "digits", None, 1e-6)
WRONG = Outcome("B", "2", "digits", "cpu", 0.5)
REFUSED = Outcome("B", "2", "digits", "web", None, "no | such `op`")
# Twice as fast in both starts; a round that something slowed is no matter.
TIMED = Latency("A", "1", "digits", "cpu", (((4.0, 2.0),), ((6.0, 3.0), (90.0, 3.0), (2.0, 1.0))))
ABSENT = Absent("C", "no matching distribution")
(REFERENCE,) = (one for one in ENGINES if one.adapter == "reference")
PYTHON = Path(sys.executable)


def test_the_document_tells_what_is_right_and_fast_and_the_rest(tmp_path: Path) -> None:
    outcomes = (DENSE, RIGHT, WRONG, REFUSED)
    table = Table("a machine", "2026-01-01", outcomes, (TIMED,), "then on it", (ABSENT,))
    table.save(tmp_path / "table.json")
    assert Table.load(tmp_path / "table.json") == table
    write_document(table, tmp_path / "engines.md")
    text = (tmp_path / "engines.md").read_text()
    assert "| A 1 | 2 of 2 | 1.0e-06 |" in text
    assert "| B 2 | 0 of 2 | 5.0e-01 |" in text
    assert "| B | digits | cpu | `error 5.0e-01` |" in text
    assert "| B | digits | web | `no / such 'op'` |" in text
    assert "Measured then on it" in text
    assert "| A | `cpu` | 2.00x [2.00, 2.00] |" in text
    assert "| C | `no matching distribution` |" in text


def test_the_page_is_what_the_records_give(tmp_path: Path) -> None:
    write_document(Table.load(RESULTS), tmp_path / "engines.md")
    assert (tmp_path / "engines.md").read_text() == DOCUMENT.read_text()


def test_every_engine_has_its_file_and_pins_its_version() -> None:
    pinned = {one.name: [*one.npm, *(text for call in one.requirements for text in call)]
              for one in ENGINES}  # fmt: skip
    for engine in ENGINES:
        assert engine.adapter_path.is_file()
        installed = pinned[engine.shares or engine.name]
        assert any("==" in text or "@" in text for text in installed), engine.name


def test_torch_is_installed_before_what_needs_it() -> None:
    for engine in ENGINES:
        calls = [index for index, call in enumerate(engine.requirements) if "torch" in str(call)]
        assert not calls or engine.requirements[0][0] == "torch==2.13.0", engine.name


@pytest.mark.heavy
def test_an_environment_that_does_not_install_says_why(tmp_path: Path) -> None:
    engine = Engine("none", "none", (("--no-index", "--find-links", str(tmp_path), "none==1"),))
    with pytest.raises(CheckFailed, match="none==1"):
        environment(engine, tmp_path)


def test_what_pnnx_does_not_know_is_told() -> None:
    assert not against_pnnx("pass_level0\ninputshape = [1,3,32,32]f32\n")
    assert against_pnnx("FLOPS = 1M\ntodo Gather\n") == "todo Gather"
    several = (
        "ignore Gather Gather_27 param axis=1\nmemory OPS\nignore Gather Gather_48 param axis=1"
    )
    assert against_pnnx(several) == "ignore Gather Gather_27 param axis=1 and 1 more"


def test_where_onnx2tf_stopped_is_told() -> None:
    said = """INFO: input_op_name: x
Traceback (most recent call last):
ValueError: Exception encountered when calling layer "tf.nn.convolution_1".
\x1b[31mERROR:\x1b[0m input_onnx_file_path: model.onnx
\x1b[31mERROR:\x1b[0m onnx_op_name: layer/transform/input_0
ValueError: Exception encountered when calling layer "tf.nn.convolution_1".
"""
    reason = 'ValueError: Exception encountered when calling layer "tf.nn.convolution_1".'
    assert against_onnx2tf(said) == f"{reason} ERROR: onnx_op_name: layer/transform/input_0"
    assert against_onnx2tf("first\nno more memory\n") == "no more memory"


def test_a_converter_runs_once_for_a_version(tmp_path: Path) -> None:
    model, made = tmp_path / "model.onnx", []

    def make(out: Path) -> None:
        made.append(out)
        out.write_text("converted")

    for version in ("1", "1", "2"):
        assert kept(str(model), version, ".bin", make).read_text() == "converted"
    assert len(made) == 2
    with pytest.raises(RuntimeError, match="no such operator"):
        run([sys.executable, "-c", "print('no such operator')"], tmp_path / "never")


@pytest.fixture
def negated(tmp_path: Path) -> Case:
    """A file that changes the sign of two numbers, and what it has to give."""
    graph = onnx.parser.parse_graph("g (float[1, 2] x) => (float[1, 2] y) { y = Neg (x) }")
    case = Case("digits", "cpu", tmp_path)
    onnx.save(onnx.helper.make_model(graph), case.path)
    np.save(case.images, np.array([[1, -2]], np.float32))
    np.save(tmp_path / "scores.npy", np.array([[-1.0, 2.0]]))
    return case


def test_a_worker_is_judged_by_its_scores(negated: Case) -> None:
    outcome = judge(REFERENCE, PYTHON, negated)
    assert outcome == Outcome("onnx.reference", onnx.__version__, "digits", "cpu", 0.0)
    np.save(negated.folder / "scores.npy", np.array([[-1.0, 4.0]]))
    again = judge(REFERENCE, PYTHON, Case("digits", "cpu", negated.folder))
    assert again.error_ratio == 0.5
    assert not again.is_right


def test_a_worker_tells_why_it_cannot(negated: Case) -> None:
    negated.path.write_bytes(b"no model")
    outcome = judge(REFERENCE, PYTHON, negated)
    assert outcome.message
    assert outcome.version == onnx.__version__
    assert not outcome.is_right
    with pytest.raises(CheckFailed, match="has to run"):
        measure(REFERENCE, PYTHON, negated, negated, Course(1, 1, 0.0))


def test_a_worker_that_dies_or_hangs_says_so(
    negated: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(program: str) -> Client:
        worker = tmp_path / "worker.py"
        worker.write_text(program)
        monkeypatch.setattr(client, "WORKER", worker)
        with start(REFERENCE, PYTHON, negated, tmp_path / "y.npy") as found:
            found.wait()
        return found

    dies = "import json; print(json.dumps({'version': '7'}), flush=True); raise SystemExit(3)"
    died = said(dies)
    assert (died.version, died.message) == ("7", "the process ended with exit code 3")
    monkeypatch.setattr(client, "LONGEST_S", 0.2)
    assert "did not end" in said("import time; time.sleep(60)").message


def test_a_pair_takes_turns_in_every_start(negated: Case) -> None:
    found = measure(REFERENCE, PYTHON, negated, negated, Course(2, 2, 0.0))
    assert found.key == ("onnx.reference", "digits")
    assert [len(rounds) for rounds in found.starts_ms] == [2, 2]
    assert all(taken_ms > 0 for rounds in found.starts_ms for pair in rounds for taken_ms in pair)

"""The matrix of runtimes: records that cannot contradict themselves, and what is made of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import runtimes_matrix
from benchmarks.matrix.int8_records import IntegerCell, IntegerMatrix
from benchmarks.matrix.int8_records import failures as integer_failures
from benchmarks.matrix.names import BACKBONES, RUNTIMES
from benchmarks.matrix.records import Cell, Conditions, FileRecord, read_cell, read_file
from benchmarks.matrix.render import failures, write_document
from benchmarks.matrix.store import Matrix
from legoexport.errors import CheckFailed, UsageError
from legoexport.ort.partitions import Partitions
from legoexport.passes.lowerings import LOWERINGS

MACHINE = {
    "cpu_model": "A processor",
    "architecture": "x86_64",
    "os": "Linux 6",
    "python": "3.11.7",
    "onnxruntime": "1.32.0",
    "logical_cores": 4,
}
CONDITIONS = Conditions("2026-01-02", MACHINE, {"torch": "2.13.0"})
PARTITIONS = (
    Partitions("NNAPI", 20, 20, 1, (), True),
    Partitions("CoreML MLProgram", 20, 15, 6, ("ai.onnx:Gather",), True),
)
FILE = FileRecord("vgg16", "grouped", "abc", 3_490_000, 12, 11, PARTITIONS)
NODES = {"XnnpackExecutionProvider": 30, "CPUExecutionProvider": 4}
CELL = Cell("vgg16", "grouped", "xnnpack", "abc", "xnnpack 1.16", 2e-7, 1e-6, True, NODES)
WRONG = replace(CELL, runtime="arm64:max", error_ratio=0.31, passed=False, nodes={})
STOPPED = replace(
    CELL, runtime="wasm", error_ratio=None, limit_ratio=None, passed=False, failure="out of memory"
)

MakeMatrix = Callable[..., Matrix]


@pytest.fixture
def make_matrix(tmp_path: Path) -> MakeMatrix:
    def make(*cells: Cell) -> Matrix:
        matrix = Matrix(tmp_path / "runtimes.json")
        matrix.start(CONDITIONS)
        matrix.add_file(FILE)
        for cell in cells:
            matrix.add_cell(cell)
        return matrix

    return make


def rendered(matrix: Matrix) -> str:
    document = matrix.path.with_suffix(".md")
    write_document(matrix, IntegerMatrix(matrix.path.with_name("int8.json")), document)
    return document.read_text()


def row_of(text: str, lowering: str) -> list[str]:
    (row,) = [line for line in text.splitlines() if line.startswith(f"| `{lowering}` |")]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_record_is_frozen_and_survives_json() -> None:
    for record, field in ((FILE, "size_bytes"), (CELL, "passed")):
        with pytest.raises(FrozenInstanceError):
            setattr(record, field, 1)
    assert read_file(json.loads(json.dumps(FILE.to_json()))) == FILE
    for cell in (CELL, WRONG, STOPPED):
        assert read_cell(json.loads(json.dumps(cell.to_json()))) == cell


@pytest.mark.parametrize(
    "contradiction",
    [{"error_ratio": 2e-6}, {"error_ratio": None}, {"limit_ratio": None}, {"failure": "stopped"}],
)
def test_nothing_passes_against_its_figures(contradiction: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="cell"):
        replace(CELL, **contradiction)  # type: ignore[arg-type]


def test_every_cell_is_on_disk_as_soon_as_it_is_taken(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(CELL)
    matrix.set_idle("mobilenet", ["winograd_rows_4"])
    again = Matrix(matrix.path)
    assert (again.files, again.cells, again.conditions) == ((FILE,), (CELL,), CONDITIONS)
    assert again.idle("mobilenet") == ("winograd_rows_4",)
    assert again.find(FILE, "xnnpack") == CELL
    assert again.find(FILE, "cpu") is None


def test_a_new_file_drops_the_cells_of_the_old_one_alone(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(CELL)
    other = replace(FILE, lowering="grouped_dense_merge")
    matrix.add_file(other)
    matrix.add_cell(replace(CELL, lowering="grouped_dense_merge"))
    changed = replace(FILE, sha256="def")
    matrix.add_file(changed)
    assert matrix.find(changed, "xnnpack") is None
    assert matrix.find(other, "xnnpack") is not None
    with pytest.raises(UsageError, match="another file"):
        matrix.add_cell(CELL)


def test_other_versions_forget_what_was_taken(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(CELL)
    matrix.start(replace(CONDITIONS, date="2026-02-03", machine=MACHINE | {"logical_cores": 2}))
    assert matrix.cells == (CELL,)
    matrix.start(replace(CONDITIONS, machine=MACHINE | {"onnxruntime": "1.33.0"}))
    assert not matrix.files
    assert not matrix.cells


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "runtimes.json"
    path.write_text("[1]")
    with pytest.raises(UsageError, match=r"runtimes\.json"):
        Matrix(path)


def test_a_row_holds_every_figure_and_what_was_not_measured(make_matrix: MakeMatrix) -> None:
    text = rendered(make_matrix(CELL))
    figures = ["`grouped`", "11 of 12", "3.49 MB", "20 of 20, 1", "15 of 20, 6", "30 of 34"]
    others = ["not measured"] * (len(RUNTIMES) - 1)
    assert row_of(text, "grouped") == [*figures, "2.0e-07", *others]
    whole = len(BACKBONES) * len(LOWERINGS) * len(RUNTIMES)
    assert f"1 of {whole} cells measured, 1 of them within their limit." in text
    assert "A processor" in text
    assert "- xnnpack 1.16\n" in text
    assert "## ResNet-50\n\nnot measured." in text
    assert "Not measured at all: `grouped_dense_merge`," in text


def test_what_is_wrong_is_marked_and_told(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(CELL, WRONG, STOPPED)
    text = rendered(matrix)
    assert "**3.1e-01** (limit 1.0e-06)" in row_of(text, "grouped")
    assert "**stops**" in row_of(text, "grouped")
    every = len(LOWERINGS) * len(RUNTIMES) * len(BACKBONES)
    assert f"3 of {every} cells measured, 1 of them within their limit." in text
    assert "- VGG16, grouped, wasm: out of memory" in text
    assert len(failures(matrix)) == 2


def test_a_lowering_that_serves_nothing_has_no_row_and_is_named(make_matrix: MakeMatrix) -> None:
    matrix = make_matrix(CELL)
    matrix.set_idle("vgg16", ["grouped"])
    assert not matrix.files
    assert not matrix.cells
    assert "because they serve no layer here: `grouped`." in rendered(matrix)


@pytest.mark.parametrize("cells", [(CELL,), (CELL, WRONG)])
def test_the_command_fails_if_a_cell_is_wrong(
    make_matrix: MakeMatrix, monkeypatch: pytest.MonkeyPatch, cells: tuple[Cell, ...]
) -> None:
    matrix = make_matrix(*cells)
    monkeypatch.setattr(runtimes_matrix, "Matrix", lambda: matrix)
    integers = IntegerMatrix(matrix.path.with_name("int8.json"))
    monkeypatch.setattr(runtimes_matrix, "IntegerMatrix", lambda: integers)
    monkeypatch.setattr(
        runtimes_matrix,
        "write_document",
        lambda one, other: write_document(one, other, matrix.path.with_suffix(".md")),
    )
    result = CliRunner().invoke(runtimes_matrix.command, ["--render-only"])
    assert matrix.path.with_suffix(".md").exists()
    if WRONG in cells:
        assert isinstance(result.exception, CheckFailed)
        assert "arm64:max" in str(result.exception)
    else:
        assert result.exception is None


RIGHT_IN_INT8 = IntegerCell(
    network="small",
    target="xnnpack",
    runtime="xnnpack",
    sha256="abc",
    described="xnnpack 1.16",
    layers_count=8,
    values_count=12_345,
    ties_count=2,
    passed=True,
)
WRONG_IN_INT8 = replace(
    RIGHT_IN_INT8, runtime="wasm", target="web", differing_count=3, steps=2, passed=False
)


def test_rows_in_int8_are_kept_and_shown(tmp_path: Path, make_matrix: MakeMatrix) -> None:
    integers = IntegerMatrix(tmp_path / "int8.json")
    integers.start(CONDITIONS)
    for cell in (WRONG_IN_INT8, RIGHT_IN_INT8):
        integers.add(cell)
    assert IntegerMatrix(integers.path).cells == (RIGHT_IN_INT8, WRONG_IN_INT8)
    assert integer_failures(integers) == ["int8, small web wasm: 3 wrong integers"]
    text = rendered(make_matrix(CELL))
    assert "| SmallNet | `xnnpack` | xnnpack | 8 | 12 345 | 2 | 0 | 0 |" in text
    assert "| SmallNet | `web` | wasm | **8** | **12 345** | **2** | **3** | **2** |" in text
    with pytest.raises(UsageError, match="cell"):
        replace(RIGHT_IN_INT8, values_count=0)

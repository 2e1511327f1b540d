"""docs/runtimes.md: the matrix as tables, one for each backbone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.matrix import int8_records
from benchmarks.matrix.int8_records import IntegerMatrix
from benchmarks.matrix.names import BACKBONES, RUNTIMES
from benchmarks.matrix.records import Cell, Conditions, FileRecord
from benchmarks.matrix.store import Matrix
from legoexport.host.atomic import write_bytes
from legoexport.host.report import format_bytes
from legoexport.passes.lowerings import LOWERINGS

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "runtimes.md"
INTRODUCTION = ROOT / "benchmarks" / "text" / "runtimes.md"
INT8_TEXT = ROOT / "benchmarks" / "text" / "runtimes_int8.md"
NOT_MEASURED = "not measured"
XNNPACK = "XnnpackExecutionProvider"
PROVIDERS = {"NNAPI": "NNAPI", "CoreML MLProgram": "Core ML"}


def write_document(
    matrix: Matrix, integers: IntegerMatrix | None = None, document: Path = DOCUMENT
) -> None:
    """Write the document from both matrices; cells may be missing, and are said to be."""
    tables = _sections(matrix, integers or IntegerMatrix())
    sections = [INTRODUCTION.read_text().strip(), *tables]
    write_bytes(document, ("\n\n".join(sections) + "\n").encode())


def failures(matrix: Matrix) -> list[str]:
    """Say of each cell that is not right what is wrong."""
    return [_failure(cell) for cell in matrix.cells if not cell.passed]


def _sections(matrix: Matrix, integers: IntegerMatrix) -> Iterator[str]:
    if matrix.conditions:
        yield _where(matrix.conditions, matrix.cells)
    yield _summary(matrix)
    for backbone, title in BACKBONES.items():
        files = sorted(
            (file for file in matrix.files if file.backbone == backbone),
            key=lambda file: list(LOWERINGS).index(file.lowering),
        )
        yield f"## {title}"
        yield _table(matrix, files) if files else f"{NOT_MEASURED}."
        yield from _without_row(matrix, backbone, files)
    yield "## In int8"
    yield INT8_TEXT.read_text().strip()
    yield int8_records.table(integers.cells) if integers.cells else f"{NOT_MEASURED}."


def _without_row(matrix: Matrix, backbone: str, files: Sequence[FileRecord]) -> Iterator[str]:
    idle = matrix.idle(backbone)
    rows = {file.lowering for file in files}
    missing = [name for name in LOWERINGS if name not in rows and name not in idle]
    if idle:
        yield f"Without a row, because they serve no layer here: {_codes(idle)}."
    if files and missing:
        yield f"Not measured at all: {_codes(missing)}."


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _where(conditions: Conditions, cells: Sequence[Cell]) -> str:
    machine = conditions.machine
    versions = {"Python": machine["python"], "onnxruntime": machine["onnxruntime"]}
    named = [f"{name} {version}" for name, version in {**versions, **conditions.versions}.items()]
    ordered = sorted(cells, key=lambda cell: RUNTIMES.index(cell.runtime))
    described = [cell.described for cell in ordered if cell.described]
    lines = [
        f"Measured until {conditions.date} on {machine['cpu_model']}, {machine['architecture']},"
        f" {machine['os']}; {', '.join(named)}. The runtimes:",
        "",
        *(f"- {one}" for one in dict.fromkeys(described)),
    ]
    return "\n".join(lines)


def _summary(matrix: Matrix) -> str:
    wrong = failures(matrix)
    idle_count = sum(len(matrix.idle(backbone)) for backbone in BACKBONES)
    rows = len(BACKBONES) * len(LOWERINGS) - idle_count
    cells, whole = len(matrix.cells), rows * len(RUNTIMES)
    said = f"{cells} of {whole} cells measured, {cells - len(wrong)} of them within their limit."
    limits = [cell.limit_ratio for cell in matrix.cells if cell.limit_ratio is not None]
    if limits:
        said += f" The limits lie between {min(limits):.1e} and {max(limits):.1e} of the range."
    return "\n".join([said, *(["", *(f"- {one}" for one in wrong)] if wrong else [])])


def _table(matrix: Matrix, files: Sequence[FileRecord]) -> str:
    heads = ["lowering", "layers", "file size"]
    heads += [f"{title}: nodes, partitions" for title in PROVIDERS.values()]
    heads += ["XNNPACK: nodes", *(f"{runtime}: error" for runtime in _error_order())]
    rows = [heads, ["---", *["---:"] * (len(heads) - 1)]]
    rows += [[*_file_cells(file), *_runtime_cells(matrix, file)] for file in files]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _error_order() -> tuple[str, ...]:
    """XNNPACK first: its error stands beside its nodes."""
    return ("xnnpack", *(runtime for runtime in RUNTIMES if runtime != "xnnpack"))


def _file_cells(file: FileRecord) -> Iterator[str]:
    yield f"`{file.lowering}`"
    yield f"{file.served_count} of {file.layers_count}"
    yield format_bytes(file.size_bytes)
    for provider in PROVIDERS:
        found = file.of(provider)
        yield f"{found.placed_count} of {found.nodes_count}, {found.partitions_count}"


def _runtime_cells(matrix: Matrix, file: FileRecord) -> Iterator[str]:
    cell = matrix.find(file, "xnnpack")
    if cell is None or not cell.nodes:
        yield NOT_MEASURED
    else:
        yield f"{cell.nodes.get(XNNPACK, 0)} of {sum(cell.nodes.values())}"
    for runtime in _error_order():
        yield _error(matrix.find(file, runtime))


def _error(cell: Cell | None) -> str:
    if cell is None:
        return NOT_MEASURED
    if cell.failure:
        return "**stops**"
    size = "not finite" if cell.error_ratio is None else f"{cell.error_ratio:.1e}"
    return size if cell.passed else f"**{size}** (limit {cell.limit_ratio:.1e})"


def _failure(cell: Cell) -> str:
    where = f"{BACKBONES[cell.backbone]}, {cell.lowering}, {cell.runtime}"
    if cell.failure:
        return f"{where}: {' '.join(cell.failure.split())}"
    error = "not finite" if cell.error_ratio is None else f"{cell.error_ratio:.1e}"
    kind = "" if cell.beyond_limit or cell.error_ratio is None else ", another top-1"
    return f"{where}: {error} of the range, limit {cell.limit_ratio:.1e}{kind}"

"""The table of a sweep: a row for each design and precision, over its seeds."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import TypeVar

from legoexport.host.atomic import write_bytes
from legoexport.host.report import format_bytes, format_count
from legoexport.lego.scales import Precision
from legoexport.sweep.choice import is_unbeaten
from legoexport.sweep.folder import CellResult, Folder, Measurement
from legoexport.sweep.grid import Design, Grid, Variant, named

Finished = TypeVar("Finished", CellResult, Measurement)
COLUMNS = ("network", "accuracy", "beside dense", "parameters", "file", "latency", "beaten")


@dataclass(frozen=True)
class Row:
    """One design in one precision.

    Attributes:
        design: The network.
        precision: What its files compute in.
        seeds_count: Trainings.
        test_count: Held-out pictures.
        accuracy: Mean share of held-out pictures that are classified correctly; in int8, by the
            files.
        accuracy_std: Sample standard deviation over the seeds; None with a single seed.
        parameters_count: Weights and coefficients that are stored.
        size_bytes: Size of the ONNX file, median over the seeds (unused filters are not stored).
        latency_ms: Median latency of one image, median over the seeds.
        latency_least_ms: Latency of the fastest of the seeds' files.
        latency_most_ms: Latency of the slowest.
    """

    design: Design
    precision: Precision
    seeds_count: int
    test_count: int
    accuracy: float
    accuracy_std: float | None
    parameters_count: int
    size_bytes: int
    latency_ms: float
    latency_least_ms: float
    latency_most_ms: float

    @property
    def name(self) -> str:
        """The name, such as ``o2-m0.5-plain-int8``."""
        return named(self.design.name, self.precision)


def rows(folder: Folder, grid: Grid) -> tuple[Row, ...]:
    """Gather the table of a grid whose every file is measured, one precision after the other."""
    return tuple(
        _row(folder, [one for one in grid.variants if _is_of(one, design, precision)])
        for precision in grid.precisions
        for design in grid.designs
    )


def _is_of(variant: Variant, design: Design, precision: Precision) -> bool:
    return (variant.cell.design, variant.precision) == (design, precision)


def _row(folder: Folder, variants: Sequence[Variant]) -> Row:
    costs = [present(folder.measurement(variant)) for variant in variants]
    judged = [_judged(folder, *pair) for pair in zip(variants, costs, strict=True)]
    accuracies = [correct / count for correct, count in judged]
    latencies = [cost.latency_ms for cost in costs]
    return Row(
        design=variants[0].cell.design,
        precision=variants[0].precision,
        seeds_count=len(variants),
        test_count=judged[0][1],
        accuracy=fmean(accuracies),
        accuracy_std=stdev(accuracies) if len(variants) > 1 else None,
        parameters_count=round(median(cost.parameters_count for cost in costs)),
        size_bytes=round(median(cost.size_bytes for cost in costs)),
        latency_ms=median(latencies),
        latency_least_ms=min(latencies),
        latency_most_ms=max(latencies),
    )


def _judged(folder: Folder, variant: Variant, cost: Measurement) -> tuple[int, int]:
    """Return how many held-out pictures are classified correctly, and how many there are."""
    if cost.correct_count is not None and cost.test_count is not None:
        return cost.correct_count, cost.test_count
    result = present(folder.result(variant.cell))
    return result.correct_count, result.test_count


def present(value: Finished | None) -> Finished:
    """Return what an earlier step of the sweep has left."""
    assert value is not None  # noqa: S101 - the sweep finished every cell
    return value


def cells_of(table: Sequence[Row]) -> list[list[str]]:
    """Return the rows to print, under ``COLUMNS``, each beside the dense twin in its precision."""
    dense = {row.precision: row for row in table if row.design == Design()}
    return [
        [
            row.name,
            f"{row.accuracy:.2%}" + (f" +- {row.accuracy_std:.2%}" if row.accuracy_std else ""),
            f"{100 * (row.accuracy - dense[row.precision].accuracy):+.2f} points",
            format_count(row.parameters_count),
            format_bytes(row.size_bytes),
            f"{row.latency_ms:.3f} ms",
            "by none" if is_unbeaten(row, table) else "yes",
        ]
        for row in table
    ]


def write_csv(path: Path, table: Sequence[Row]) -> None:
    """Write the table with every digit, a column for each attribute."""
    records = [{**asdict(row.design), **asdict(row)} for row in table]
    for record, row in zip(records, table, strict=True):
        record["design"] = row.name
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=_field_names(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    write_bytes(path, text.getvalue().encode())


def _field_names(record: dict[str, object]) -> list[str]:
    return ["design", *(name for name in record if name != "design")]

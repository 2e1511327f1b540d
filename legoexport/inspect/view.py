"""An inventory as tables for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from legoexport.host.report import format_bytes, format_count, format_ratio
from legoexport.inspect.inventory import Inventory, LayerRow, Totals

Row = Sequence[str]
Table = tuple[str, Row, list[Row]]
UNKNOWN = "-"
TOTAL_COLUMNS = ("for one image", "this network", "dense twin", "ratio")


def tables(inventory: Inventory) -> list[Table]:
    """Return title, column headings and rows of each table, narrow enough for a terminal."""
    converted = any(row.lowering is not None for row in inventory.rows)
    shape_columns = ["layer", "o", "m", "n", "c", "kernel", "stride", "input", "filters used"]
    shape_columns += ["lowering", "partition"] if converted else ["ties"]
    cost_columns = ["layer", "parameters", "multiply-adds"]
    cost_columns += ["smaller: Eq. 1", "counted", "faster: Eq. 2", "counted"]
    return [
        ("Lego layers", shape_columns, [_shape_cells(row) for row in inventory.rows]),
        ("Their cost", cost_columns, [_cost_cells(row) for row in inventory.rows]),
        ("Totals beside the dense twin", TOTAL_COLUMNS, total_rows(inventory)),
    ]


def _shape_cells(row: LayerRow) -> Row:
    shape = row.shape
    ties = UNKNOWN if row.ties_count is None else str(row.ties_count)
    return [
        row.layer,
        *(str(size) for size in (shape.o, shape.m, shape.n, shape.c)),
        *("x".join(map(str, pair)) for pair in (shape.kernel, shape.stride, shape.input_size)),
        f"{shape.filters_used}/{shape.m}",
        *([ties] if row.lowering is None else [row.lowering, row.partition or UNKNOWN]),
    ]


def _cost_cells(row: LayerRow) -> Row:
    counts = row.counts
    return [
        row.layer,
        format_count(counts.parameters),
        format_count(counts.used_transform_macs + counts.merge_macs),
        format_ratio(counts.paper_compression_ratio),
        format_ratio(counts.counted_compression_ratio),
        format_ratio(counts.paper_speedup_ratio),
        format_ratio(counts.counted_speedup_ratio),
    ]


def total_rows(inventory: Inventory) -> list[Row]:
    """Return the totals beside those of the dense twin, under ``TOTAL_COLUMNS``."""
    own, twin = inventory.totals, inventory.dense_twin
    counts = {
        "parameters: weights": "weights",
        "parameters: weights + coefficients": "weights_coefficients",
        "parameters: weights + coefficients + indices": "weights_coefficients_indices",
        "multiply-adds: without the merge (as the paper)": "transform_macs",
        "multiply-adds: with the merge": "transform_merge_macs",
        "multiply-adds: maps in use + merge": "counted_macs",
    }
    rows = [
        _beside(label, getattr(own, name), getattr(twin, name)) for label, name in counts.items()
    ]
    return [*rows, *_byte_rows(own, twin)]


def _beside(label: str, own: int, twin: int) -> Row:
    return [label, format_count(own), format_count(twin), format_ratio(twin / own)]


def _byte_rows(own: Totals, twin: Totals) -> list[Row]:
    parts = {
        "bytes: banks": own.stored.bank_bytes,
        "bytes: tables": own.stored.table_bytes,
        "bytes: dense layers": own.stored.dense_bytes,
        "bytes: graph": own.stored.graph_bytes,
    }
    rows: list[Row] = [[label, format_bytes(size), "", ""] for label, size in parts.items() if size]
    own_bytes, twin_bytes = own.stored.total_bytes, twin.stored.total_bytes
    total = [
        format_bytes(own_bytes),
        format_bytes(twin_bytes),
        format_ratio(twin_bytes / own_bytes),
    ]
    return [*rows, ["bytes: total", *total]]


def as_json(inventory: Inventory) -> dict[str, Any]:
    """Return everything that the tables show, and what they round, under plain names."""
    return {
        "layers": [_record(row) for row in inventory.rows],
        "dense_part": asdict(inventory.dense_part),
        "totals": _totals_record(inventory.totals),
        "dense_twin": _totals_record(inventory.dense_twin),
    }


def _record(row: LayerRow) -> dict[str, Any]:
    counts = row.counts
    return {
        "layer": row.layer,
        **asdict(row.shape),
        "output_size": row.shape.output_size,
        **asdict(counts),
        "paper_compression_ratio": counts.paper_compression_ratio,
        "counted_compression_ratio": counts.counted_compression_ratio,
        "paper_speedup_ratio": counts.paper_speedup_ratio,
        "counted_speedup_ratio": counts.counted_speedup_ratio,
        "filters_unused": row.shape.m - row.shape.filters_used,
        "ties_count": row.ties_count,
        "lowering": row.lowering,
        "partition": row.partition,
    }


def _totals_record(totals: Totals) -> dict[str, Any]:
    stored = asdict(totals.stored) | {"total_bytes": totals.stored.total_bytes}
    return asdict(totals) | {"stored": stored}

"""What rounding costs, as rows of tables: the one report of int8 and of weights in fewer bits."""

from __future__ import annotations

from collections.abc import Sequence

from legoexport.lego.scales import Precision
from legoexport.lego.storage import Store
from legoexport.quantize.cost import LayerCost, RoundingCost
from legoexport.quantize.scores_cost import FileScores

FILES_COLUMNS = ("inputs", "images", "network", "SQNR, dB", "same class", "right")
WEIGHTS_COLUMNS = ("layer", "computes", "lowering", "weights, dB")
# A file that only stores its weights in fewer bits has no integers that these could tell of.
INTEGERS_COLUMNS = ("activations, dB", "both, dB", "range", "clipped")
UNKNOWN = "-"

Row = tuple[str, ...]


def has_integers(layers: Sequence[LayerCost]) -> bool:
    """Whether a file computes any layer in integers."""
    return any(one.computes == "int8" for one in layers)


def rounded_to(precision: Precision, store: Store) -> str:
    """Return what makes a file another one than the network was trained to be."""
    return precision if precision == "int8" else f"storing {store}"


def files_title(precision: Precision, store: Store) -> str:
    """Return the title of the table under ``FILES_COLUMNS``."""
    rounding = rounded_to(precision, store)
    return f"What {rounding} costs: the trained network in PyTorch against files"


def files_rows(cost: RoundingCost) -> list[Row]:
    """Return a row for each network and set of images, under ``FILES_COLUMNS``."""
    rows: list[Row] = []
    for one in cost.scores:
        count = str(one.images_count)
        rows.append((one.name, count, "trained", UNKNOWN, UNKNOWN, _count(one.right_count)))
        rows.extend((one.name, count, *_file_cells(scores)) for scores in one.files)
    return rows


def layers_table(layers: Sequence[LayerCost]) -> tuple[str, Row, list[Row]]:
    """Return title, headings and a row for each layer that sums weights."""
    if has_integers(layers):
        title = "Layers, each by itself: SQNR by its weights alone, its activations alone, and both"
        rows = [(*_weights_cells(one), *_integers_cells(one)) for one in layers]
        return title, (*WEIGHTS_COLUMNS, *INTEGERS_COLUMNS), rows
    title = "Layers, each by itself: SQNR by its weights"
    return title, WEIGHTS_COLUMNS, [_weights_cells(one) for one in layers]


def layer_name(layer: str, module: str) -> str:
    """Return the torch module of a layer, and what a plan calls it if that differs."""
    return f"{module} ({layer})" if module and module != layer else layer


def decibels(value: float | None) -> str:
    """Return an SQNR; without a change there is none."""
    return "no change" if value is None else f"{value:.1f}"


def _file_cells(scores: FileScores) -> Row:
    counts = (_count(scores.agreeing_count), _count(scores.right_count))
    return (scores.file, decibels(scores.sqnr_db), *counts)


def _weights_cells(one: LayerCost) -> Row:
    weights = decibels(one.sqnr_weights_db)
    return (layer_name(one.layer, one.module), one.computes, one.lowering, weights)


def _integers_cells(one: LayerCost) -> Row:
    return (
        decibels(one.sqnr_activations_db),
        decibels(one.sqnr_both_db),
        UNKNOWN if one.low is None else f"{one.low:.3g}..{one.high:.3g}",
        UNKNOWN if one.clipped_ratio is None else f"{one.clipped_ratio:.3%}",
    )


def _count(count: int | None) -> str:
    return UNKNOWN if count is None else str(count)

"""What rounding costs, as tables: the one report of int8 and of weights stored in fewer bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from legoexport.host.report import print_table, print_text

if TYPE_CHECKING:
    from legoexport.lego.scales import Precision
    from legoexport.lego.storage import Store
    from legoexport.quantize.cost import LayerCost, RoundingCost
    from legoexport.quantize.revert import Held
    from legoexport.quantize.scores_cost import FileScores

FILES_COLUMNS = ("", "images", "network", "SQNR, dB", "same class", "right")
LAYERS_COLUMNS = ("layer", "computes", "lowering", "weights, dB")
# A file that only stores its weights in fewer bits has no integers that these could tell of.
INTEGERS_COLUMNS = ("activations, dB", "both, dB", "range", "clipped")

REVERTED_COLUMNS = ("layer", "int8 cost, dB", "points lost then")


def print_held(held: Held) -> None:
    """Print what a file loses, and a row for each layer that went back to float."""
    print_text("")
    print_text(
        f"limit    {held.drop_points:.2f} percentage points lost of at most"
        f" {held.max_drop_points:g}; {held.first_drop_points:.2f} before any layer went back"
    )
    rows = [
        (_name(one.layer, one.module), _decibels(one.sqnr_both_db), f"{one.drop_points:.2f}")
        for one in held.reverted
    ]
    if rows:
        print_table("Layers that went back to float, in this order", REVERTED_COLUMNS, rows)


def print_cost(cost: RoundingCost, precision: Precision, store: Store) -> None:
    """Print a row for each network and set of images, then one for each layer.

    Args:
        cost: The bill.
        precision: What the file computes in.
        store: What it holds of banks and dense weights; that of fp32 alone is told.
    """
    print_text("")
    rounding = precision if precision == "int8" else f"storing {store}"
    title = f"What {rounding} costs: the trained network in PyTorch against files"
    rows: list[tuple[str, ...]] = []
    for one in cost.scores:
        count = str(one.images_count)
        rows.append((one.name, count, "trained", "-", "-", _count(one.right_count)))
        rows.extend((one.name, count, *_file_cells(scores)) for scores in one.files)
    print_table(title, FILES_COLUMNS, rows)
    print_text("")
    _print_layers(cost.layers)


def _print_layers(layers: Sequence[LayerCost]) -> None:
    if any(one.computes == "int8" for one in layers):
        title = "Layers, each by itself: SQNR by its weights alone, its activations alone, and both"
        rows = [(*_weights_cells(one), *_integers_cells(one)) for one in layers]
        print_table(title, (*LAYERS_COLUMNS, *INTEGERS_COLUMNS), rows)
    else:
        title = "Layers, each by itself: SQNR by its weights"
        print_table(title, LAYERS_COLUMNS, [_weights_cells(one) for one in layers])


def _file_cells(scores: FileScores) -> tuple[str, ...]:
    counts = (_count(scores.agreeing_count), _count(scores.right_count))
    return (scores.file, _decibels(scores.sqnr_db), *counts)


def _weights_cells(one: LayerCost) -> tuple[str, ...]:
    weights = _decibels(one.sqnr_weights_db)
    return (_name(one.layer, one.module), one.computes, one.lowering, weights)


def _integers_cells(one: LayerCost) -> tuple[str, ...]:
    return (
        _decibels(one.sqnr_activations_db),
        _decibels(one.sqnr_both_db),
        "-" if one.low is None else f"{one.low:.3g}..{one.high:.3g}",
        "-" if one.clipped_ratio is None else f"{one.clipped_ratio:.3%}",
    )


def _name(layer: str, module: str) -> str:
    return f"{module} ({layer})" if module and module != layer else layer


def _count(count: int | None) -> str:
    return "-" if count is None else str(count)


def _decibels(value: float | None) -> str:
    return "no change" if value is None else f"{value:.1f}"

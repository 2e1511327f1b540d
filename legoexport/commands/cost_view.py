"""What rounding the weights costs, and what int8 does, as tables."""

from __future__ import annotations

from legoexport.host.report import print_table, print_text
from legoexport.lego.storage import Store
from legoexport.parity.store_cost import ScoresCost, StoreCost
from legoexport.quantize.cost import Int8Cost, LayerCost
from legoexport.quantize.revert import Held
from legoexport.quantize.scores_cost import FileScores

SCORES_COLUMNS = ("", "images", "SQNR, dB", "same class", "right before", "right after")
WEIGHTS_COLUMNS = ("weights", "SQNR, dB")
FILES_COLUMNS = ("", "images", "network", "SQNR, dB", "same class", "right")
LAYERS_COLUMNS = (
    *("layer", "computes", "lowering", "weights, dB", "activations, dB", "both, dB"),
    *("range", "clipped"),
)

REVERTED_COLUMNS = ("layer", "int8 cost, dB", "points lost then")


def print_cost(cost: StoreCost, store: Store) -> None:
    """Print a row for each set of images, then one for each weight."""
    print_text("")
    title = f"What storing {store} costs: the trained network against the one in the file"
    print_table(title, SCORES_COLUMNS, [_scores_row(one) for one in cost.scores])
    print_text("")
    rows = [(one.name, _decibels(one.sqnr_db)) for one in cost.weights]
    print_table("Weights", WEIGHTS_COLUMNS, rows)


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


def print_int8_cost(cost: Int8Cost) -> None:
    """Print a row for each network and set of images, then one for each layer."""
    print_text("")
    title = "What int8 costs: the trained network in PyTorch against files"
    rows: list[tuple[str, ...]] = []
    for one in cost.scores:
        count = str(one.images_count)
        rows.append((one.name, count, "trained", "-", "-", _count(one.right_count)))
        rows.extend((one.name, count, *_file_cells(scores)) for scores in one.files)
    print_table(title, FILES_COLUMNS, rows)
    print_text("")
    title = "Layers, each by itself: SQNR by its weights alone, its activations alone, and both"
    print_table(title, LAYERS_COLUMNS, [_layer_row(one) for one in cost.layers])


def _file_cells(scores: FileScores) -> tuple[str, ...]:
    counts = (_count(scores.agreeing_count), _count(scores.right_count))
    return (scores.file, _decibels(scores.sqnr_db), *counts)


def _layer_row(one: LayerCost) -> tuple[str, ...]:
    ratios = (one.sqnr_weights_db, one.sqnr_activations_db, one.sqnr_both_db)
    return (
        _name(one.layer, one.module),
        one.computes,
        one.lowering,
        *map(_decibels, ratios),
        "-" if one.low is None else f"{one.low:.3g}..{one.high:.3g}",
        "-" if one.clipped_ratio is None else f"{one.clipped_ratio:.3%}",
    )


def _name(layer: str, module: str) -> str:
    return f"{module} ({layer})" if module and module != layer else layer


def _count(count: int | None) -> str:
    return "-" if count is None else str(count)


def _scores_row(one: ScoresCost) -> tuple[str, ...]:
    counts = (one.agreeing_count, one.right_before_count, one.right_after_count)
    return (one.name, str(one.images_count), _decibels(one.sqnr_db), *map(_count, counts))


def _decibels(value: float | None) -> str:
    return "no change" if value is None else f"{value:.1f}"

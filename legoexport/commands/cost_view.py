"""What rounding the weights costs, as tables."""

from __future__ import annotations

from legoexport.host.report import print_table, print_text
from legoexport.lego.storage import Store
from legoexport.parity.store_cost import ScoresCost, StoreCost

SCORES_COLUMNS = ("", "images", "SQNR, dB", "same class", "right before", "right after")
WEIGHTS_COLUMNS = ("weights", "SQNR, dB")


def print_cost(cost: StoreCost, store: Store) -> None:
    """Print a row for each set of images, then one for each weight."""
    print_text("")
    title = f"What storing {store} costs: the trained network against the one in the file"
    print_table(title, SCORES_COLUMNS, [_scores_row(one) for one in cost.scores])
    print_text("")
    rows = [(one.name, _decibels(one.sqnr_db)) for one in cost.weights]
    print_table("Weights", WEIGHTS_COLUMNS, rows)


def _scores_row(one: ScoresCost) -> tuple[str, ...]:
    counts = (one.agreeing_count, one.right_before_count, one.right_after_count)
    shown = ["-" if count is None else str(count) for count in counts]
    return (one.name, str(one.images_count), _decibels(one.sqnr_db), *shown)


def _decibels(value: float | None) -> str:
    return "no change" if value is None else f"{value:.1f}"

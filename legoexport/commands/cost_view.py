"""What rounding costs, printed: the one report of int8 and of weights stored in fewer bits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from legoexport.host.report import print_table, print_text

if TYPE_CHECKING:
    from legoexport.lego.scales import Precision
    from legoexport.lego.storage import Store
    from legoexport.quantize.cost import RoundingCost
    from legoexport.quantize.revert import Held

REVERTED_COLUMNS = ("layer", "int8 cost, dB", "points lost then")


def print_held(held: Held) -> None:
    """Print what a file loses, and a row for each layer that went back to float."""
    from legoexport.quantize.view import decibels, layer_name

    print_text("")
    print_text(
        f"limit    {held.drop_points:.2f} percentage points lost of at most"
        f" {held.max_drop_points:g}; {held.first_drop_points:.2f} before any layer went back"
    )
    rows = [
        (layer_name(one.layer, one.module), decibels(one.sqnr_both_db), f"{one.drop_points:.2f}")
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
    from legoexport.quantize.view import FILES_COLUMNS, files_rows, files_title, layers_table

    print_text("")
    print_table(files_title(precision, store), FILES_COLUMNS, files_rows(cost))
    print_text("")
    print_table(*layers_table(cost.layers))

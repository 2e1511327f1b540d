"""What ``legoexport verify`` prints of its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from legoexport.commands.cost_view import print_cost
from legoexport.host.report import print_json, print_table, print_text
from legoexport.parity import view
from legoexport.runtimes.base import Replay
from legoexport.runtimes.view import PLACEMENT_COLUMNS, convolutions_line, placement_rows

if TYPE_CHECKING:
    from legoexport.lego.file_facts import FileFacts
    from legoexport.parity.verification import Verification
    from legoexport.quantize.cost import RoundingCost


def print_verification(
    found: Verification,
    cost: RoundingCost | None,
    facts: FileFacts,
    *,
    per_layer: bool,
    as_json: bool,
) -> None:
    """Print the verdict, all that it rests on, and what rounding costs if that was measured.

    Args:
        found: The verdict.
        cost: What rounding costs.
        facts: What the file says of itself.
        per_layer: Print every layer, not only those of a file that failed.
        as_json: Print JSON.
    """
    if as_json:
        print_json(found.to_json() | {"cost": cost and cost.to_json()})
        return
    _print_verdict(found, per_layer=per_layer)
    if cost is not None:
        print_cost(cost, facts.precision, facts.store)


def _print_verdict(found: Verification, *, per_layer: bool) -> None:
    rows = view.agreement_rows(found.all_agreements)
    print_table("Outputs against PyTorch float64", view.AGREEMENT_COLUMNS, rows)
    if found.layers and (per_layer or not found.passed):
        print_table("Lego layers", view.LAYER_COLUMNS, view.layer_rows(found.layers))
    if found.agreement.accuracy:
        print_text(str(found.agreement.accuracy))
    if found.layers:
        print_text(view.layers_line(found.layers))
    for one in found.elsewhere:
        if per_layer or not one.passed:
            print_table(f"Integers on {one.name}", view.INTEGER_COLUMNS, view.integer_rows(one))
        print_text(str(one))
    print_text(str(found.exact))
    for note in found.notes:
        print_text(f"note: {note}")
    print_where(found.replays)
    print_text(str(found.agreement))


def print_where(replays: Sequence[Replay]) -> None:
    """Print where the nodes ran on each runtime elsewhere."""
    for replay in replays:
        if replay.placement:
            print_table("Where it ran", PLACEMENT_COLUMNS, placement_rows(replay.placement))
            print_text(convolutions_line(replay.placement))
        print_text(f"outputs of {replay.runtime}")

"""``legoexport targets``: what each target of ``convert`` means."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from legoexport.host.report import print_json, print_table, print_text
from legoexport.passes.eligible import automatic, eligible
from legoexport.target import TARGETS, Target

COLUMNS = ("target", "runs on", "opset", "IR", "batch", "operators", "chooses by", "prefers")


@click.command("targets")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(*, as_json: bool) -> None:
    """List the targets of convert: what a file for each may contain, and how it is lowered."""
    if as_json:
        print_json([_as_json(target) for target in TARGETS.values()])
        return
    print_table("Targets", COLUMNS, [_row(target) for target in TARGETS.values()])
    print_text("")
    for target in TARGETS.values():
        print_text(f"{target.name} may lower to {', '.join(eligible(target))}")


def _row(target: Target) -> tuple[object, ...]:
    return (
        target.name,
        target.runs_on,
        target.opset,
        target.ir_version,
        target.batch,
        len(target.allowed_ops),
        target.choice,
        target.lowerings[0],
    )


def _as_json(target: Target) -> dict[str, Any]:
    chosen = automatic(target)
    return asdict(target) | {
        "allowed_ops": sorted(target.allowed_ops),
        "lowerings": chosen,
        "on_request": tuple(name for name in eligible(target) if name not in chosen),
    }

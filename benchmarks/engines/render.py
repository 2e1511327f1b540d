"""docs/engines.md: which files are right where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.engines.records import Outcome, Table
from benchmarks.files import ROOT
from legoexport.host.atomic import write_bytes

DOCUMENT = ROOT / "docs" / "engines.md"
INTRODUCTION = ROOT / "benchmarks" / "text" / "engines.md"
TOOLS = ROOT / "benchmarks" / "text" / "engines_tools.md"


def write_document(table: Table, document: Path = DOCUMENT) -> None:
    """Write the document."""
    parts = [INTRODUCTION.read_text().strip(), f"Measured {table.date} on {table.machine}."]
    parts += ["## Right or not", *_right(table)]
    wrong = [outcome for outcome in table.outcomes if not outcome.is_right]
    if wrong:
        parts += ["## What is not right", "\n".join(_reasons(wrong))]
    parts.append(TOOLS.read_text().strip())
    write_bytes(document, ("\n\n".join(parts) + "\n").encode())


def _right(table: Table) -> Iterator[str]:
    networks = list(dict.fromkeys(outcome.network for outcome in table.outcomes))
    lines = [
        _row("engine", *networks, "largest error"),
        _row("---", *["---:"] * len(networks), "---:"),
    ]
    for engine, outcomes in _by_engine(table).items():
        counts = [_count([one for one in outcomes if one.network == name]) for name in networks]
        errors = [one.error_ratio for one in outcomes if one.error_ratio is not None]
        worst = f"{max(errors):.1e}" if errors else "-"
        lines.append(_row(f"{engine} {outcomes[0].version}", *counts, worst))
    yield "Files that are right, of the dense twin and one for each target:"
    yield "\n".join(lines)


def _count(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(one.is_right for one in outcomes)} of {len(outcomes)}"


def _reasons(wrong: Sequence[Outcome]) -> Iterator[str]:
    yield _row("engine", "network", "files", "why")
    yield _row("---", "---", "---", "---")
    said: dict[tuple[str, str, str], list[str]] = {}
    for one in wrong:
        why = one.message or f"error {one.error_ratio:.1e}"
        said.setdefault((one.engine, one.network, why), []).append(one.target or "dense twin")
    for (engine, network, why), targets in said.items():
        yield _row(engine, network, ", ".join(targets), _escaped(why))


def _escaped(text: str) -> str:
    return "`" + text.replace("|", "/").replace("`", "'") + "`"


def _by_engine(table: Table) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for outcome in table.outcomes:
        found.setdefault(outcome.engine, []).append(outcome)
    return found


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    from benchmarks.engines.records import RESULTS

    write_document(Table.load(RESULTS))

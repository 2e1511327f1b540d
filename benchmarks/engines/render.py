"""docs/engines.md: which files are right where, and what they gain there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from benchmarks.engines.records import Latency, Outcome, Table
from benchmarks.files import ROOT
from legoexport.host.atomic import write_bytes

DOCUMENT = ROOT / "docs" / "engines.md"
TEXT = ROOT / "benchmarks" / "text"
INTRODUCTION, LATENCY, FAULTS, TOOLS = (
    TEXT / name
    for name in ("engines.md", "engines_latency.md", "engines_faults.md", "engines_tools.md")
)

Found = TypeVar("Found", Outcome, Latency)


def write_document(table: Table, document: Path = DOCUMENT) -> None:
    """Write the document."""
    parts = [INTRODUCTION.read_text().strip(), f"Measured {table.date} on {table.machine}."]
    parts += ["## Right or not", *_right(table)]
    if table.latencies:
        parts += [LATENCY.read_text().strip(), *_latencies(table)]
    wrong = [outcome for outcome in table.outcomes if not outcome.is_right]
    if wrong:
        parts += ["## What is not right", "\n".join(_reasons(wrong))]
    if table.absent:
        parts += ["## Not tried, and why", "\n".join(_absent(table))]
    parts += [FAULTS.read_text().strip(), TOOLS.read_text().strip()]
    write_bytes(document, ("\n\n".join(parts) + "\n").encode())


def _right(table: Table) -> Iterator[str]:
    networks = list(dict.fromkeys(outcome.network for outcome in table.outcomes))
    lines = [
        _row("engine", *networks, "largest error"),
        _row("---", *["---:"] * len(networks), "---:"),
    ]
    for engine, outcomes in _by_engine(table.outcomes).items():
        counts = [_count([one for one in outcomes if one.network == name]) for name in networks]
        errors = [one.error_ratio for one in outcomes if one.error_ratio is not None]
        worst = f"{max(errors):.1e}" if errors else "-"
        lines.append(_row(f"{engine} {outcomes[0].version}".strip(), *counts, worst))
    yield "Files that are right, of the dense twin and one for each target:"
    yield "\n".join(lines)


def _count(outcomes: Sequence[Outcome]) -> str:
    return f"{sum(one.is_right for one in outcomes)} of {len(outcomes)}" if outcomes else "-"


def _latencies(table: Table) -> Iterator[str]:
    networks = list(dict.fromkeys(one.network for one in table.latencies))
    lines = [
        _row("engine", "made for", *(f"{name}, over its dense twin" for name in networks)),
        _row("---", "---", *["---:"] * len(networks)),
    ]
    for engine, latencies in _by_engine(table.latencies).items():
        told = {one.network: _speedup(one) for one in latencies}
        cells = [told.get(name, "-") for name in networks]
        lines.append(_row(engine, f"`{latencies[0].target}`", *cells))
    yield f"Measured {table.timed}:"
    yield "\n".join(lines)


def _speedup(latency: Latency) -> str:
    found = latency.speedup
    return f"{found.estimate_ratio:.2f}x [{found.low_ratio:.2f}, {found.high_ratio:.2f}]"


def _reasons(wrong: Sequence[Outcome]) -> Iterator[str]:
    yield _row("engine", "network", "files", "why")
    yield _row("---", "---", "---", "---")
    said: dict[tuple[str, str, str], list[str]] = {}
    for one in wrong:
        why = one.message or f"error {one.error_ratio:.1e}"
        said.setdefault((one.engine, one.network, why), []).append(one.target or "dense twin")
    for (engine, network, why), targets in said.items():
        yield _row(engine, network, ", ".join(targets), _escaped(why))


def _absent(table: Table) -> Iterator[str]:
    yield _row("engine", "why")
    yield _row("---", "---")
    for one in table.absent:
        yield _row(one.engine, _escaped(one.reason))


def _escaped(text: str) -> str:
    return "`" + text.replace("|", "/").replace("`", "'") + "`"


def _by_engine(found: Sequence[Found]) -> dict[str, list[Found]]:
    engines: dict[str, list[Found]] = {}
    for one in found:
        engines.setdefault(one.engine, []).append(one)
    return engines


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    from benchmarks.engines.records import RESULTS

    write_document(Table.load(RESULTS))

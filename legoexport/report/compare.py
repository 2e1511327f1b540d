"""Two conversions side by side, from what ``convert --json`` printed of each."""

from __future__ import annotations

from collections.abc import Sequence

from legoexport.host.report import format_bytes, format_count, format_ratio
from legoexport.report.converted import SETTINGS, Converted
from legoexport.report.figures.placement import draw_partitions
from legoexport.report.figures.precision import draw_precision
from legoexport.report.figures.stored import draw_stored
from legoexport.report.figures.style import Picture
from legoexport.report.page import fill
from legoexport.report.tables import NONE, Table

LETTERS = ("A", "B")


def render_comparison(pair: tuple[Converted, Converted], again: str) -> bytes:
    """Return the page of two conversions.

    Args:
        pair: The two, called A and B.
        again: The command that makes the page.
    """
    values = {
        "pair": pair,
        "again_command": again,
        "verdict": comparison_verdict(*pair),
        "passed": all(one.passed for one in pair),
        "tables": [_summary(*pair), _settings(*pair), _layers(*pair), _partitions(*pair)],
        "pictures": _pictures(pair),
    }
    return fill("compare.html.j2", values)


def comparison_verdict(a: Converted, b: Converted) -> str:
    """Return the whole comparison in one sentence."""
    ratio = b.size_bytes / a.size_bytes
    size = "B is as large as A"
    if ratio != 1:
        size = f"B is {format_ratio(max(ratio, 1 / ratio))} {'larger' if ratio > 1 else 'smaller'}"
    failed = [letter for letter, one in zip(LETTERS, (a, b), strict=True) if not one.passed]
    proved = f"Not proved: {', '.join(failed)}" if failed else "Both are proved"
    same = "one checkpoint" if a.checkpoint_sha256 == b.checkpoint_sha256 else "two checkpoints"
    return f"{proved}; {size}; they come from {same}."


def _summary(a: Converted, b: Converted) -> Table:
    rows: list[Sequence[object]] = [
        _beside("file size", a.size_bytes, b.size_bytes),
        ["parameters", *(format_count(one.totals.parameters) for one in (a, b)), ""],
        ["multiply-adds", *(format_count(one.totals.macs) for one in (a, b)), ""],
        ["fewer than dense", *map(_fewer, (a, b)), ""],
        ["error, of the outputs' range", *map(_error, (a, b)), ""],
        ["verdict", *("ok" if one.passed else "FAILED" for one in (a, b)), ""],
    ]
    if a.own_peak_bytes and b.own_peak_bytes:
        rows.append(_beside("peak memory", a.own_peak_bytes, b.own_peak_bytes))
    return Table("A beside B", ("for one image", *LETTERS, "A / B"), rows)


def _beside(label: str, a_bytes: int, b_bytes: int) -> Sequence[object]:
    both = map(format_bytes, (a_bytes, b_bytes))
    return [label, *both, format_ratio(a_bytes / b_bytes)]


def _fewer(one: Converted) -> str:
    return format_ratio(one.dense_twin.macs / one.totals.macs)


def _error(one: Converted) -> str:
    return NONE if one.relative_error is None else f"{one.relative_error:.2e}"


def _settings(a: Converted, b: Converted) -> Table:
    rows = [(key, a.settings[key], b.settings[key]) for key in SETTINGS]
    rows.append(("checkpoint, sha256", a.checkpoint_sha256, b.checkpoint_sha256))
    return Table("How they were converted", ("setting", *LETTERS), rows)


def _layers(a: Converted, b: Converted) -> Table:
    rows = [
        (
            layer,
            *(one.lowerings.get(layer, NONE) for one in (a, b)),
            *(_evenness(one, layer) for one in (a, b)),
        )
        for layer in dict.fromkeys([*a.lowerings, *b.lowerings])
    ]
    columns = ("layer", "lowering, A", "B", "evenness of the bank, A", "B")
    return Table("Lego layers", columns, rows)


def _evenness(one: Converted, layer: str) -> str:
    return f"{one.evenness[layer]:.3f}" if layer in one.evenness else NONE


def _partitions(a: Converted, b: Converted) -> Table:
    found = [
        {each.provider: str(each).removeprefix(f"{each.provider} ") for each in one.partitions}
        for one in (a, b)
    ]
    rows = [(name, *(each.get(name, NONE) for each in found)) for name in found[0] | found[1]]
    return Table("Partitions of the graph", ("provider", *LETTERS), rows)


def _pictures(pair: tuple[Converted, Converted]) -> list[Picture]:
    named = dict(zip(LETTERS, pair, strict=True))
    stored = draw_stored({letter: one.stored for letter, one in named.items()}, "stored")
    taken = [draw_partitions(one.partitions, letter, letter) for letter, one in named.items()]
    costs = [
        draw_precision(one.cost.layers, f"precision{letter}", f"Precision by layer of {letter}")
        for letter, one in named.items()
        if one.cost is not None
    ]
    return [stored, *taken, *costs]

"""docs/benchmarks.md: tables and pictures of what was measured, and the words beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.labels import DENSE
from benchmarks.narrower import LEVELS
from benchmarks.records import Profile, Race, Record, Taken
from benchmarks.render import tables
from benchmarks.render.words import extremes
from benchmarks.store import OTHER_MACHINES, RESULTS, profiles, races
from legoexport.host.atomic import write_bytes
from legoexport.host.report import format_bytes

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "benchmarks.md"
TEXTS = ROOT / "benchmarks" / "text"
FIGURES = "figures/benchmarks"


def write_document(results: Path = RESULTS, document: Path = DOCUMENT) -> None:
    """Write the document and its pictures from the records in ``results``; parts may be missing."""
    # matplotlib takes a second to import, which a run that measures nothing new should not wait.
    from benchmarks.render import curves_picture, decision, parts_picture, tradeoff  # noqa: PLC0415

    networks, peers, curves, precision = (
        races(part, results).records for part in ("networks", "peers", "curves", "precision")
    )
    layers, figures = profiles(results).records, document.parent / FIGURES
    if networks:
        tradeoff.draw(networks, peers, figures / "tradeoff.svg")
    if layers:
        parts_picture.draw_networks(layers, figures / "parts.svg")
        parts_picture.draw_layers(_most_telling(layers), figures / "layers.svg")
    if curves:
        curves_picture.draw(curves, figures / "curves.svg")
    machines = [precision, *_elsewhere("precision", results)]
    # One picture decides: that of the first machine that raced networks whose accuracy is known.
    decided = next(filter(None, map(decision.deciding, machines)), ())
    if decided:
        decision.draw(decided, figures / "precision.svg")
    measured = {level: races("networks", results / level).records for level in LEVELS}
    narrower = {level: records for level, records in measured.items() if records}
    others = _elsewhere("networks", results)
    parts = _sections(networks, peers, layers, curves, narrower, others=others)
    sections = [*parts, *_precision(machines, decided)]
    write_bytes(document, ("\n\n".join(sections) + "\n").encode())


def _elsewhere(part: str, results: Path) -> list[Sequence[Race]]:
    """Return the records of each other machine that has any."""
    found = [races(part, results / name).records for name in OTHER_MACHINES]
    return [records for records in found if records]


def _sections(
    networks: Sequence[Race],
    peers: Sequence[Race],
    layers: Sequence[Profile],
    curves: Sequence[Race],
    narrower: Mapping[str, Sequence[Race]],
    *,
    others: Sequence[Sequence[Race]],
) -> Iterator[str]:
    yield _text("introduction")
    if networks:
        yield from ("## Networks", _text("networks"), *_where(networks))
        yield tables.network_table(networks)
        yield from _footnotes(networks, "networks")
        yield from ("File size, and memory that loading adds:", tables.cost_table(networks))
        yield _picture("Latency against file size", "tradeoff")
    if narrower:
        yield from ("## Narrower registers", _text("narrower"))
        yield tables.level_table({"all": networks, **narrower})
        for level, records in narrower.items():
            yield from (*_where(records), *_footnotes(records, f"networks --up-to {level}"))
    if any(others):
        yield from ("## Other processors", _text("processors"))
        for records in filter(None, others):
            yield from (*_where(records), tables.network_table(records))
            yield from _footnotes(records, "networks --apart NAME")
    if peers:
        yield from ("## Other runtimes", _text("peers"), *_where(peers))
        yield tables.peer_table(peers)
        yield from _footnotes(peers, "peers")
    if layers:
        yield from ("## Where the time goes", _text("layers"), *_where(layers))
        yield tables.part_table(layers)
        yield _command(layers, "layers")
        yield _picture("Time by part", "parts")
        yield _picture("Time by layer", "layers")
    if curves:
        yield from ("## As work grows", _text("curves"), *_where(curves))
        yield _picture("Speed-up over dense", "curves")
        yield extremes(curves)
        yield _text("bends")
        yield from _footnotes(curves, "curves")


def _precision(machines: Sequence[Sequence[Race]], decided: Sequence[Race]) -> Iterator[str]:
    """Give the section of each machine, the first one's first; ``decided`` is in the picture."""
    for number, records in enumerate(machines):
        if not records:
            continue
        if number == 0:
            yield "## Precision"
        yield _text("precision_elsewhere" if number else "precision")
        yield from (*_where(records), tables.precision_table(records))
        if any(race in records for race in decided):
            yield _text("decision")
            yield _picture("Accuracy against latency and against file size", "precision")
        yield from _footnotes(records, "precision")


def _most_telling(layers: Sequence[Profile]) -> Profile:
    """Return the profile of the first network's Lego file, on the fewest threads."""
    ours = [profile for profile in layers if profile.label != DENSE]
    return min(ours or layers, key=lambda profile: profile.threads)


def _where(records: Sequence[Record]) -> Iterator[str]:
    for taken in _distinct([record.taken for record in records]):
        machine = taken.machine
        cores = f"cores: {machine['physical_cores']} physical, {machine['logical_cores']} logical"
        has = [machine["cpu_model"], machine["architecture"], cores, machine["os"]]
        has.append(format_bytes(machine["memory_bytes"]))
        versions = {"Python": machine["python"], "ONNX Runtime": machine["onnxruntime"]}
        runs = [f"{name} {version}" for name, version in {**versions, **taken.versions}.items()]
        yield f"Measured {taken.date} on {', '.join(has)}; {', '.join(runs)}."


def _distinct(taken: Sequence[Taken]) -> list[Taken]:
    """Return one of each day and machine."""
    kept: dict[str, Taken] = {}
    for one in taken:
        kept.setdefault(f"{one.date} {one.machine} {one.versions}", one)
    return list(kept.values())


def _footnotes(records: Sequence[Race], part: str) -> Iterator[str]:
    error = tables.worst_error_ratio(records)
    yield f"{_command(records, part)} Largest difference of outputs: {error:.1e} of their range."
    absent = tables.absent_list(records)
    if absent:
        yield absent


def _command(records: Sequence[Record], part: str) -> str:
    commands = sorted({record.taken.command for record in records})
    typed = ", ".join(f"`{command}`" for command in commands)
    return f"Measured by {typed}. To repeat this part alone: `python -m benchmarks {part}`."


def _picture(what: str, name: str) -> str:
    return f"![{what}]({FIGURES}/{name}.svg)"


def _text(name: str) -> str:
    return (TEXTS / f"{name}.md").read_text().strip()

"""Give our files to every engine that installs from a package, and write docs/engines.md.

    python -m benchmarks.engines [--part PART]... [--engine NAME]... [--network NAME]...

Each engine has an environment of its own in ``build/engines``, and each file a process of its own.
What is not named keeps what was found before.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.engines.engines import ENGINES, Engine
from benchmarks.engines.environments import environment
from benchmarks.engines.latency import Course, measure
from benchmarks.engines.models import NETWORKS, Case, cases
from benchmarks.engines.records import RESULTS, Absent, Latency, Outcome, Table
from benchmarks.engines.render import write_document
from benchmarks.engines.right import judge
from benchmarks.files import ROOT
from legoexport.errors import CheckFailed
from legoexport.host.machine import describe

BUILD = ROOT / "build" / "engines"
PARTS = ("right", "latency")


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        engines: Engines that install, and the Python of each.
        networks: Names of networks.
        build: Where environments and files are kept.
        course: How long each pair is measured.
    """

    engines: Mapping[Engine, Path]
    networks: Sequence[str]
    build: Path
    course: Course


def main() -> None:
    """Run what is asked for, save it with what was there, and write the document."""
    given = _parse()
    build = given.build.resolve()
    names = [engine.name for engine in ENGINES]
    chosen = [engine for engine in ENGINES if engine.name in (given.engine or names)]
    table = _load()
    engines, absent = _install(chosen, build)
    kept = [one for one in table.absent if one.engine not in {engine.name for engine in chosen}]
    table = replace(table, absent=(*kept, *absent))
    course = Course(starts_count=given.starts)
    request = Request(engines, given.network or tuple(NETWORKS), build, course)
    for part in given.part or PARTS:
        for found in (_judge_all if part == "right" else _time_all)(request, table):
            table = found
            table.save(RESULTS)
    write_document(table)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Give our files to other engines.")
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--engine", action="append", choices=[one.name for one in ENGINES])
    parser.add_argument("--network", action="append", choices=list(NETWORKS))
    parser.add_argument("--starts", type=int, default=Course().starts_count)
    parser.add_argument("--build", type=Path, default=BUILD, help="Folder of the environments.")
    return parser.parse_args()


def _load() -> Table:
    """Read what was found before, of the engines that there are still."""
    table = Table.load(RESULTS) if RESULTS.exists() else Table("", "", ())
    names = {engine.name for engine in ENGINES}
    return replace(
        table,
        outcomes=tuple(one for one in table.outcomes if one.engine in names),
        latencies=tuple(one for one in table.latencies if one.engine in names),
    )


def _install(chosen: Sequence[Engine], build: Path) -> tuple[dict[Engine, Path], list[Absent]]:
    pythons, absent = {}, []
    for engine in chosen:
        try:
            pythons[engine] = environment(engine, build)
        except CheckFailed as error:
            absent.append(Absent(engine.name, " ".join(str(error).split())))
    return pythons, absent


def _judge_all(request: Request, table: Table) -> Iterator[Table]:
    """Yield the table with more and more outcomes in it."""
    machine, date = _where_and_when()
    for case in cases(request.build, request.networks):
        engines = {
            one: python for one, python in request.engines.items() if one.takes(case.network)
        }
        found = [judge(engine, python, case) for engine, python in engines.items()]
        _tell(*found)
        outcomes = {one.key: one for one in (*table.outcomes, *found)}
        ordered = sorted(outcomes.values(), key=lambda one: _place(one.engine, one.network))
        table = replace(table, machine=machine, date=date, outcomes=tuple(ordered))
        yield table


def _time_all(request: Request, table: Table) -> Iterator[Table]:
    """Yield the table with more and more latencies in it; what is not right is not timed."""
    machine, date = _where_and_when()
    right = {one.key for one in table.outcomes if one.is_right}
    for engine, python, dense, lego in _pairs(request):
        if not right.issuperset((engine.name, one.network, one.target) for one in (dense, lego)):
            continue
        try:
            found = measure(engine, python, dense, lego, request.course)
        except CheckFailed as error:
            _tell(f"{engine.name} {lego.network}: {error}")
            continue
        _tell(f"{found.key} {found.speedup}")
        latencies = {one.key: one for one in (*table.latencies, found)}
        ordered = sorted(latencies.values(), key=lambda one: _place(one.engine, one.network))
        table = replace(table, timed=f"{date} on {machine}", latencies=tuple(ordered))
        yield table


def _pairs(request: Request) -> Iterator[tuple[Engine, Path, Case, Case]]:
    made = {(case.network, case.target): case for case in cases(request.build, request.networks)}
    for engine, python in request.engines.items():
        for network in filter(engine.takes, request.networks if engine.target else ()):
            yield engine, python, made[network, None], made[network, engine.target]


def _where_and_when() -> tuple[str, str]:
    machine = describe()
    return f"{machine.cpu_model}, {machine.architecture}", f"{datetime.now(UTC):%Y-%m-%d}"


def _place(engine: str, network: str) -> tuple[int, int]:
    names = [one.name for one in ENGINES]
    return names.index(engine), list(NETWORKS).index(network)


def _tell(*found: Outcome | Latency | str) -> None:
    for one in found:
        print(one, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()

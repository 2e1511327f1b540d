"""Measure, and write docs/benchmarks.md.

    python -m benchmarks [PART...] [--budget MINUTES] [--network NAME] [--again] [--up-to LEVEL]
                         [--apart NAME] [--results FOLDER]

Parts are networks, peers, layers, curves and precision; all of them unless named. What is in
``benchmarks/results`` is not measured again unless the passes changed since, or ``--again`` is
given. ``python -m benchmarks.render`` writes the document alone. With ``--up-to avx2`` everything
runs as on a processor with no wider registers, and is recorded apart. ``--apart NAME`` records the
networks of a second machine beside those of the first, which a plain run would replace.
``--results FOLDER`` writes the records there, and no document.
"""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import click

from benchmarks.files import BUILD, ROOT, source_fingerprint
from benchmarks.labels import OTHERS
from benchmarks.narrower import LEVELS, environment_up_to
from benchmarks.networks import NETWORKS
from benchmarks.parts import PARTS, Session
from benchmarks.records import Taken
from benchmarks.render import write_document
from benchmarks.settings import DEFAULT_BUDGET_MIN, settings_for
from benchmarks.store import OTHER_MACHINES, RESULTS
from legoexport.errors import LegoExportError, UsageError
from legoexport.host.machine import Machine, describe


@click.command("benchmarks")
@click.argument("parts", nargs=-1, type=click.Choice(list(PARTS)))
@click.option("--budget", default=DEFAULT_BUDGET_MIN, help="Minutes of a full run; 40.")
@click.option("--threads", type=click.IntRange(min=1), help="The larger count; all cores.")
@click.option(
    "--network", "names", multiple=True, type=click.Choice(list(NETWORKS)), help="Only this one."
)
@click.option("--again", is_flag=True, help="Forget what the parts measured before.")
@click.option("--up-to", type=click.Choice(list(LEVELS)), help="Hide wider registers.")
@click.option("--apart", type=click.Choice(OTHER_MACHINES), help="Record as another machine.")
@click.option(
    "--results", "elsewhere", type=click.Path(path_type=Path), help="Write the records there only."
)
def command(
    parts: tuple[str, ...],
    budget: float,
    threads: int | None,
    names: tuple[str, ...],
    up_to: str | None,
    *,
    apart: str | None,
    elsewhere: Path | None,
    again: bool,
) -> None:
    """Measure PARTS, or all of them, and write docs/benchmarks.md."""
    elsewhere = None if elsewhere is None else elsewhere.resolve()
    os.chdir(ROOT)  # workers are modules of this package
    if up_to and apart:
        raise UsageError("--up-to and --apart are recorded in places of their own: give one")
    folder = up_to or apart or ""
    machine = _narrowed(up_to) if up_to else describe()
    session = Session(
        settings_for(budget, threads or machine.default_threads),
        Taken(_today(), machine.to_json(), _versions(), _typed(), source_fingerprint(), budget),
        tell=_tell,
        networks=names or tuple(NETWORKS),
        build=BUILD / folder,
        results=elsewhere or RESULTS / folder,
    )
    for part in parts or PARTS:
        if again:
            (session.results / f"{part}.json").unlink(missing_ok=True)
        PARTS[part](session)
    if elsewhere is None:
        write_document()


def _narrowed(level: str) -> Machine:
    """Narrow all processes that start from here on, and say so in the machine's name."""
    os.environ.update(environment_up_to(level, BUILD))
    machine = describe()
    return replace(machine, cpu_model=f"{machine.cpu_model} up to {LEVELS[level]}")


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _typed() -> str:
    return shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])


def _versions() -> dict[str, str]:
    found = {}
    for name in ("torch", *OTHERS):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _tell(step: str) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {step}", err=True)


if __name__ == "__main__":
    try:
        command()
    except LegoExportError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)

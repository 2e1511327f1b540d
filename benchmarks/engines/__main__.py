"""Give our files to every engine that installs from a package, and write docs/engines.md.

    python -m benchmarks.engines [--engine NAME]... [--network NAME]...

Each engine has an environment of its own in ``build/engines``, and each file a process of its own.
What is not named keeps what was found before.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.engines.engines import ENGINES, Engine
from benchmarks.engines.models import NETWORKS, Case, cases
from benchmarks.engines.records import RESULTS, Outcome, Table
from benchmarks.engines.render import write_document
from benchmarks.files import ROOT
from legoexport.host.machine import describe

BUILD = ROOT / "build" / "engines"
WORKER = Path(__file__).parent / "worker.py"
LONGEST_S = 300


def main() -> None:
    """Run what is asked for, save it with what was there, and write the document."""
    parser = argparse.ArgumentParser(description="Give our files to other engines.")
    names = [engine.name for engine in ENGINES]
    parser.add_argument("--engine", action="append", choices=names)
    parser.add_argument("--network", action="append", choices=list(NETWORKS))
    given = parser.parse_args()
    chosen = [engine for engine in ENGINES if engine.name in (given.engine or names)]
    pythons = {engine.name: environment(engine) for engine in chosen}
    found: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(Path(folder), given.network or tuple(NETWORKS)):
            for engine in chosen:
                outcome = run(engine, pythons[engine.name], case)
                print(outcome, file=sys.stderr, flush=True)
                found.append(outcome)
            _save(found)
    write_document(Table.load(RESULTS))


def _save(found: Sequence[Outcome]) -> None:
    """Write what was found, and what was found before of all that is not done again."""
    before = Table.load(RESULTS).outcomes if RESULTS.exists() else ()
    again, names = {outcome.key for outcome in found}, [engine.name for engine in ENGINES]
    kept = [one for one in before if one.key not in again and one.engine in names]
    networks = list(NETWORKS)
    outcomes = sorted(
        (*kept, *found), key=lambda one: (names.index(one.engine), networks.index(one.network))
    )
    machine = describe()
    where = f"{machine.cpu_model}, {machine.architecture}"
    Table(where, f"{datetime.now(UTC):%Y-%m-%d}", tuple(outcomes)).save(RESULTS)


def environment(engine: Engine) -> Path:
    """Return the Python of the engine's environment, made when it is first asked for."""
    folder = BUILD / engine.name.replace(" ", "-").replace(",", "")
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        venv.create(folder, clear=True, with_pip=True)
        for requirements in engine.requirements:
            install = [str(python), "-m", "pip", "install", "--quiet", *requirements]
            subprocess.run(install, check=True)  # noqa: S603 - our own list
        done.touch()
    return python


@cache
def version_of(python: Path, package: str) -> str:
    """Return the version of a package in the environment of ``python``."""
    ask = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.check_output([str(python), "-c", ask], text=True).strip()  # noqa: S603


def run(engine: Engine, python: Path, case: Case) -> Outcome:
    """Run one file in one engine."""
    output = case.path.with_suffix(".out.npy")
    output.unlink(missing_ok=True)
    command = [str(python), str(WORKER), str(engine.adapter_path), str(case.path)]
    command += [str(case.images), "--out", str(output)]
    said = _last_line(command)
    message = str(said.get("message", ""))
    error_ratio = None if message else _error_ratio(np.load(output), case.scores)
    return Outcome(
        engine.name,
        version_of(python, engine.package),
        case.network,
        case.target,
        error_ratio,
        message,
    )


def _error_ratio(found: NDArray[Any], scores: NDArray[np.float64]) -> float:
    """Return the largest error over the largest score; infinite if these are no such scores."""
    if found.size != scores.size or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found.reshape(scores.shape) - scores).max() / np.abs(scores).max())


def _last_line(command: list[str]) -> dict[str, str]:
    try:
        done = subprocess.run(  # noqa: S603 - our own worker
            command,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        return {"message": f"it did not end within {LONGEST_S} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        return {"message": f"the process ended with {done.returncode}"}
    found: dict[str, str] = json.loads(lines[-1])
    return found


if __name__ == "__main__":
    main()

"""An environment for each engine, so that none brings another's packages."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from benchmarks.engines.engines import ENGINES, Engine
from legoexport.errors import CheckFailed

# No scripts: that of onnxruntime-node loads libraries for CUDA from elsewhere.
NPM_INSTALL = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix")


def environment(engine: Engine, build: Path) -> Path:
    """Return the Python of the engine's environment, made when it is first asked for.

    Raises:
        CheckFailed: Something of it does not install.
    """
    if engine.shares:
        engine = next(one for one in ENGINES if one.name == engine.shares)
    folder = build / engine.folder_name
    python, done = folder / "bin" / "python", folder / "installed"
    wanted = repr((engine.requirements, engine.npm))
    if done.exists() and done.read_text() == wanted:
        return python
    venv.create(folder, clear=True, with_pip=True)
    for requirements in engine.requirements:
        _run([str(python), "-m", "pip", "install", "--quiet", *requirements])
    if engine.npm:
        _run([*NPM_INSTALL, str(folder), *engine.npm])
    done.write_text(wanted)
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        raise CheckFailed(" ".join(command[-2:]), received=said[-1] if said else done.returncode)

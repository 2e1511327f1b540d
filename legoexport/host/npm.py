"""npm: the packages that a lock file names, each by version and digest, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from legoexport.errors import UsageError
from legoexport.host.cache import run_tool

HOW_TO_INSTALL = (
    "install Node.js and npm"
    " (Debian and Ubuntu: apt-get install nodejs npm; macOS: brew install node)"
)
# No package that we use needs its scripts, so none of them gets to run.
ARGUMENTS = ("ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund")


def install_locked(lock_files: Iterable[Path], folder: Path, package: str) -> None:
    """Install into ``folder``/node_modules what ``lock_files`` name.

    Args:
        lock_files: ``package.json`` and ``package-lock.json``.
        folder: An empty one.
        package: What it is for, in messages.

    Raises:
        UsageError: npm is missing or fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UsageError(
            f"{package} comes from npm, and npm is not installed",
            received="no npm on PATH",
            next_step=HOW_TO_INSTALL,
        )
    for file in lock_files:
        shutil.copy(file, folder)
    problem = f"npm does not install {package}"
    next_step = "check that npm reaches its registry, then try again"
    run_tool([npm, *ARGUMENTS], problem, next_step, folder)

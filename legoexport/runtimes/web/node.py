"""Node.js on this machine: where it is, and its version."""

from __future__ import annotations

import re
import shutil
import subprocess

from legoexport.errors import UsageError
from legoexport.host.npm import HOW_TO_INSTALL

LEAST_MAJOR = 18  # the oldest that Debian, Ubuntu and the Node project still hand out


def find_node(purpose: str = "the runtimes wasm and xnnpack run") -> str:
    """Return the path of ``node``.

    Args:
        purpose: What happens in it, as the beginning of a sentence.

    Raises:
        UsageError: It is not installed.
    """
    path = shutil.which("node")
    if path is None:
        problem = f"{purpose} in Node.js, which is not installed"
        raise UsageError(problem, received="no node on PATH", next_step=HOW_TO_INSTALL)
    return path


def node_version(node: str) -> str:
    """Return the version, such as ``20.20.2``.

    Raises:
        UsageError: It does not start, or is too old to be tested with.
    """
    said = _first_line([node, "--version"])
    found = re.fullmatch(r"v(\d+)\.\d+\.\d+\S*", said)
    if found is None or int(found[1]) < LEAST_MAJOR:
        legal = f"{LEAST_MAJOR} or later"
        raise UsageError(
            f"{node} is not usable", received=said, legal=legal, next_step=HOW_TO_INSTALL
        )
    return said.removeprefix("v")


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        return str(error.strerror)
    return (done.stdout.strip() or done.stderr.strip() or "no answer").splitlines()[0]

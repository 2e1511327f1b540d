"""Start the processes of a shared training, and never leave one behind."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 240


def environment(**changes: str) -> dict[str, str]:
    """One thread a process, and gloo on this machine alone."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "PYTHONPATH": str(ROOT),
        **changes,
    }


def rank_environments(ranks: int) -> list[dict[str, str]]:
    """What torchrun sets, for each process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    return [environment(**shared, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(ranks)]


@contextlib.contextmanager
def started(
    arguments: Sequence[str], environments: Sequence[dict[str, str]]
) -> Iterator[list[subprocess.Popen[str]]]:
    """Start ``python ARGUMENTS`` once for each environment; kill what is left at the end."""
    found = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env=each,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for each in environments
    ]
    try:
        yield found
    finally:
        for process in found:
            process.kill()
            process.communicate()

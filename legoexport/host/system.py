"""What the operating system tells of its machine, as text; nothing where it does not tell."""

from __future__ import annotations

import subprocess
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")


def told_in(path: Path) -> str:
    """Return what a file of the system says; empty if there is no such file."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def sysctl(name: str) -> str:
    """Return a value of macOS; empty if it has no such value."""
    command = ["/usr/sbin/sysctl", "-n", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout.strip()

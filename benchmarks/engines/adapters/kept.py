"""Files that an engine's own converter writes, kept beside the one they were made from."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path


def kept(path: str, version: str, suffix: str, make: Callable[[Path], None]) -> Path:
    """Return what ``make`` writes at the path that it is given; it is made once for a version."""
    model = Path(path)
    out = model.with_name(f"{model.stem}-{version}{suffix}")
    if not out.exists():
        with tempfile.TemporaryDirectory(dir=model.parent) as folder:
            made = Path(folder, f"model{suffix}")
            make(made)
            made.rename(out)
    return out


def run(command: Sequence[str], written: Path, folder: Path | None = None) -> str:
    """Run a converter in ``folder``, and return what it says.

    Raises:
        RuntimeError: It does not write ``written``; all that it says is told.
    """
    done = subprocess.run(  # noqa: S603 - an engine's own
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    if not written.exists():
        raise RuntimeError(said.strip() or f"the converter ended with {done.returncode}")
    return said

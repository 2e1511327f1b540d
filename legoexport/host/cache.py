"""What is made once and kept: folders in the user's cache that are whole or not there."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs

from legoexport.errors import UsageError

MESSAGE_LINES = 6


def cache_folder(name: str) -> Path:
    """Return where the folder ``name`` of the cache is, or will be.

    ``XDG_CACHE_HOME`` moves the cache, on macOS too; without it the cache is where the system keeps
    such things, ``~/.cache`` or ``~/Library/Caches``.
    """
    return platformdirs.user_cache_path("legoexport", appauthor=False) / name


def cached(
    name: str, make: Callable[[Path], None], is_whole: Callable[[Path], bool] = Path.is_dir
) -> Path:
    """Return the folder ``name`` of the cache; if it is not there, have it made first.

    Args:
        name: It must change with everything that the content depends on.
        make: Fills the empty folder that it is given.
        is_whole: Whether a folder is there with all that belongs in it; else it is made anew.

    Raises:
        UsageError: ``make`` fails, or the cache cannot be written.
    """
    folder = cache_folder(name)
    if not is_whole(folder):
        try:
            _make_in_place(folder, make, is_whole)
        except OSError as error:
            raise UsageError(
                f"cannot write {folder}",
                received=error.strerror,
                next_step="set XDG_CACHE_HOME to a writable folder",
            ) from None
    return folder


def run_tool(
    command: Sequence[str], problem: str, next_step: str, folder: Path | None = None
) -> None:
    """Run a program that has to succeed, in ``folder`` if one is given.

    Raises:
        UsageError: It does not; the message is ``problem`` with what the program said last.
    """
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        received = f"{command[0]}: {error.strerror}"
        raise UsageError(problem, received=received, next_step=next_step) from None
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
        last = "\n".join(said.splitlines()[-MESSAGE_LINES:])
        raise UsageError(problem, received=last, next_step=next_step)


def _make_in_place(
    folder: Path, make: Callable[[Path], None], is_whole: Callable[[Path], bool]
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, ignore_cleanup_errors=True) as name:
        made = Path(name, "made")
        made.mkdir()
        make(made)
        if folder.is_dir() and not is_whole(folder):
            shutil.rmtree(folder)
        try:
            made.rename(folder)
        except OSError:
            if not is_whole(folder):  # otherwise another process has just made the same
                raise

"""Folders in the user's cache, made once and kept; each is complete or absent."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs

from legoexport.errors import UsageError
from legoexport.host.left_behind import remove_left_behind
from legoexport.host.lock import alone
from legoexport.host.staging import make_folder, staged_folder

MESSAGE_LINES = 6
XDG_STEP = "set XDG_CACHE_HOME to a writable folder"


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

    Of several processes that miss it one makes it, and the others wait for that.

    Args:
        name: Must change with everything that the content depends on.
        make: Fills the empty folder that it is given.
        is_whole: Whether a folder is complete; otherwise it is made anew.

    Raises:
        UsageError: ``make`` fails, or the cache cannot be written.
    """
    folder = cache_folder(name)
    if not is_whole(folder):
        make_folder(folder.parent, XDG_STEP)
        with alone(folder.with_name(f".{name}.lock"), XDG_STEP):
            if not is_whole(folder):
                remove_left_behind(folder, is_alone=True)
                with staged_folder(folder, is_whole=is_whole, next_step=XDG_STEP) as made:
                    make(made)
    return folder


def run_tool(
    command: Sequence[str], problem: str, next_step: str, folder: Path | None = None
) -> None:
    """Run a program that has to succeed, in ``folder`` if one is given.

    Raises:
        UsageError: It fails; the message is ``problem`` with the program's last words.
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

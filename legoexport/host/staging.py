"""Folders that appear whole or not at all, and plain ones that are made if need be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from legoexport.errors import UsageError
from legoexport.host.left_behind import owned_prefix, remove_left_behind
from legoexport.host.outputs import real_path
from legoexport.signals import held, temporary_folder


@contextmanager
def staged_folder(
    folder: Path,
    *,
    is_whole: Callable[[Path], bool] = lambda _: False,
    next_step: str | None = None,
) -> Iterator[Path]:
    """Give an empty hidden folder to fill; it becomes ``folder`` when the block ends well.

    What is in the way by then is replaced, so check before that it may be. It is kept if the block
    or the replacement fails. What a killed process left beside it is removed.

    Args:
        folder: Where to put it; its parent exists.
        is_whole: Whether what is in the way may stay instead: another process made the same.
        next_step: The next step that the error names.

    Raises:
        UsageError: Something cannot be written.
    """
    target = real_path(folder)
    try:
        remove_left_behind(target)
        with temporary_folder(owned_prefix(target), target.parent) as staged:
            new, old = staged / "new", staged / "old"
            new.mkdir()
            yield new
            if not is_whole(target):
                with held():  # in between, the old folder is among what is removed
                    _swap(new, target, old, is_whole)
    except OSError as error:
        raise UsageError(
            f"cannot write {folder}",
            received=error.strerror,
            next_step=next_step
            or f"choose a folder that can be written instead of {target.parent}",
        ) from None


def make_folder(folder: Path, next_step: str = "choose another one") -> None:
    """Make a folder that more is written to later, and its parents; it may be there already.

    Args:
        folder: The folder.
        next_step: The next step that the error names.

    Raises:
        UsageError: The folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot make the folder {folder}",
            received=error.strerror,
            next_step=next_step,
        ) from None


def _swap(new: Path, target: Path, old: Path, is_whole: Callable[[Path], bool]) -> None:
    if target.exists():
        target.replace(old)
    try:
        new.replace(target)
    except OSError:
        if is_whole(target):
            return
        if old.exists():
            old.replace(target)
        raise

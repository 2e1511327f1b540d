"""Write the folder of a site in one step. It may replace an older site, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from legoexport.errors import UsageError
from legoexport.host.outputs import real_path
from legoexport.host.staging import staged_folder

RECORD_FILE = "site.json"
FORMAT = "legoexport-site"
LEGAL = "a new or empty folder, or a site that legoexport web wrote"


def check_replaceable(folder: Path) -> None:
    """Check early that a site can be written to ``folder``.

    Raises:
        UsageError: Its parent does not exist, or it holds something that legoexport did not write.
    """
    if not real_path(folder).parent.is_dir():
        raise UsageError(f"cannot write {folder}", received="its parent does not exist")
    if not folder.exists() and not folder.is_symlink():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", legal=LEGAL)
    if any(folder.iterdir()):
        _refuse_strangers(folder)


def read_record(folder: Path) -> dict[str, object]:
    """Return what ``site.json`` says.

    Raises:
        UsageError: ``folder`` holds no site of legoexport.
    """
    try:
        record = json.loads((folder / RECORD_FILE).read_text())
        if record["format"] != FORMAT or not isinstance(record["files"], list):
            raise ValueError(f"it is no {FORMAT}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder} is not a site",
            received=f"{RECORD_FILE}: {error}",
            legal="a folder that legoexport web --out wrote",
        ) from None
    return dict(record)


def write_folder(folder: Path, files: Mapping[str, bytes | Path]) -> None:
    """Write ``files``, by their path in the site: contents, or files to copy.

    Raises:
        UsageError: As for ``check_replaceable``, or a file cannot be written. What was there is
        kept.
    """
    check_replaceable(folder)
    with staged_folder(folder) as staged:
        for name, content in files.items():
            path = staged / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, path)
            else:
                path.write_bytes(content)


def _refuse_strangers(folder: Path) -> None:
    try:
        listed = set(map(str, list(read_record(folder)["files"])))  # type: ignore[call-overload]
    except UsageError:
        raise UsageError(
            f"{folder} holds something else",
            received=min(path.name for path in folder.iterdir()),
            legal=LEGAL,
        ) from None
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if strangers := found - listed - {RECORD_FILE}:
        raise UsageError(
            f"{folder} is a site that also holds files that legoexport did not write",
            received=", ".join(sorted(strangers)),
            legal=LEGAL,
            next_step="move them elsewhere, or choose another folder",
        )

"""Where a command may write: decided for all its files at once, before any work.

An output never coincides with an input or with another output, and replaces nothing but a regular
file of its own kind. Files are compared by inode where they exist, and by real path where they do
not, so that a hard link, a symbolic link or ``./`` hides nothing.

``-`` is standard output where an output is one file that is read from start to end, an ONNX file or
JSON; ``host/standard_output.py`` writes it. Checkpoints, side files and folders are files.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from legoexport.errors import UsageError
from legoexport.host.kinds import Kind, kind_of

OTHER_PATH = "choose another path"
STANDARD_OUTPUT = "-"
READABLE = (Kind.JSON, Kind.TEXT)
IRREGULAR = {
    stat.S_IFDIR: "a folder",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}


@dataclass(frozen=True)
class Output:
    """A file or folder that a command is to write.

    Attributes:
        option: Who names it, such as ``--out``.
        path: Where; a symbolic link stands for what it points to.
        kind: What is going to be written; None for a folder.
        streams: Whether ``-`` stands for standard output.
    """

    option: str
    path: Path
    kind: Kind | None
    streams: bool = False

    @property
    def what(self) -> str:
        """The path with the option that named it."""
        return f"{self.option} {self.path}"


def check_outputs(
    outputs: Sequence[Output], inputs: Mapping[str, Path | None], *, force: bool = False
) -> None:
    """Hold that the outputs of a command harm nothing.

    Args:
        outputs: Everything that it is to write.
        inputs: Everything that it reads, by the argument that names it; None was not given.
        force: Let a file replace one of another kind.

    Raises:
        UsageError: An output coincides with an input or with another output, its folder does not
            exist, it would replace a device, FIFO, socket, folder, or another kind of file, or it
            is for standard output and cannot go there.
    """
    given = {name: path for name, path in inputs.items() if path is not None}
    taken = {identity(path): f"{name} {path}" for name, path in given.items()}
    for output in outputs:
        if is_standard_output(output.path):
            _check_stream(output)
            continue
        own = identity(output.path)
        if own in taken:
            raise UsageError(
                f"{output.what} would overwrite {taken[own]}",
                received=str(real_path(output.path)),
                legal="a path of its own",
                next_step=OTHER_PATH,
            )
        taken[own] = output.what
        _check_place(output)
        if output.kind is None:
            _check_folder(output)
        else:
            check_regular(output.path, output.option)
            if not force:
                _check_kind(output, output.kind)


def identity(path: Path) -> tuple[int, int] | str:
    """Return what two paths to the same file have in common, whether it exists or not."""
    try:
        found = path.stat()
    except OSError:
        return str(real_path(path))
    return found.st_dev, found.st_ino


def real_path(path: Path) -> Path:
    """Follow symbolic links, also one that points to nothing yet.

    Raises:
        UsageError: The links lead in a circle, or no file can have this name.
    """
    resolved = Path(os.path.realpath(path))
    try:
        is_circle = resolved.is_symlink()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be a file", received=error.strerror, next_step=OTHER_PATH
        ) from None
    if is_circle:
        raise UsageError(f"{path} is a symbolic link that leads to itself", next_step=OTHER_PATH)
    return resolved


def check_regular(path: Path, option: str | None = None) -> None:
    """Hold that writing to ``path`` makes a file, or replaces a regular one.

    Raises:
        UsageError: A device, FIFO, socket or folder is there.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # nothing is there, or opening it will say why not
    if not stat.S_ISREG(mode):
        raise UsageError(
            f"cannot write {option} {path}" if option else f"cannot write {path}",
            received=IRREGULAR.get(stat.S_IFMT(mode), "no regular file"),
            legal="a new file, or a regular file to replace",
            next_step=OTHER_PATH,
        )


def is_standard_output(path: Path) -> bool:
    """Whether the path is ``-``."""
    return str(path) == STANDARD_OUTPUT


def _check_stream(output: Output) -> None:
    a_file = f"name a file; {Path.cwd() / STANDARD_OUTPUT} is one of that name"
    if not output.streams:
        raise UsageError(
            f"{output.option} writes a file, and does not write to standard output",
            received=STANDARD_OUTPUT,
            next_step=a_file,
        )
    if output.kind not in READABLE and sys.stdout.isatty():
        raise UsageError(
            f"{output.option} {STANDARD_OUTPUT} would write bytes to the terminal",
            legal="standard output that goes to a file or to another program",
            next_step="add > FILE or | PROGRAM, or name a file",
        )


def _check_place(output: Output) -> None:
    folder = real_path(output.path).parent
    if not folder.is_dir():
        raise UsageError(
            f"cannot write {output.what}",
            received="its folder does not exist",
            legal="a path in an existing folder",
            next_step=f"mkdir -p {folder}",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f"cannot write {output.what}",
            received=f"no permission to write in {folder}",
            next_step="choose a writable folder",
        )


def _check_folder(output: Output) -> None:
    if output.path.exists() and not output.path.is_dir():
        raise UsageError(f"{output.what} is not a folder", next_step=OTHER_PATH)


def _check_kind(output: Output, kind: Kind) -> None:
    try:
        found = kind_of(output.path)
    except OSError:
        return  # no file is there to lose
    if found not in (None, kind):
        raise UsageError(
            f"{output.what} holds {found.value} and would be replaced by {kind.value}",
            legal=f"a new file, or {kind.value} to replace",
            next_step=f"{OTHER_PATH}, or add --force",
        )

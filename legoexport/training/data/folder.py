"""Image folders, and zip archives of them: ``train/CLASS/*.jpg`` and ``test/CLASS/*.jpg``."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legoexport.errors import UsageError
from legoexport.host.machine import usable_processors
from legoexport.host.reading import UNREADABLE, read_bytes
from legoexport.training.data.decode import Decoder
from legoexport.training.data.images import ImageData

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm"})
PARTS = {"train": "train", "test": "test", "val": "test", "valid": "test", "validation": "test"}
CHUNK = 256
LAYOUT = "train/CLASS/*.jpg and test/CLASS/*.jpg (or val/); also .png, .bmp, .webp, .ppm"

ReadFile = Callable[[str], bytes]


@dataclass(frozen=True)
class Listing:
    """The pictures of one part, by name and class.

    Attributes:
        names: File names, sorted.
        labels: Class of each file.
    """

    names: tuple[str, ...]
    labels: tuple[int, ...]


def read_pictures(path: Path, decoder: Decoder) -> ImageData:
    """Decode an image folder, or a zip archive of one, into memory.

    Raises:
        UsageError: The layout is another one, or a file is not a picture of the common size.
    """
    classes, parts = sort_out(path, picture_names(path))
    with opened(path) as read:
        train, test = (
            (decoded(parts[part].names, read, decoder), torch.tensor(parts[part].labels))
            for part in ("train", "test")
        )
    return ImageData(*train, *test, class_names=classes)


def picture_names(path: Path) -> list[str]:
    """Return the names of the pictures in a folder or a zip archive, sorted.

    Raises:
        UsageError: It cannot be read.
    """
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.is_file())
        names = [file.relative_to(path).as_posix() for file in files]
    else:
        with _archive(path) as archive:
            names = [name for name in archive.namelist() if "__MACOSX" not in name]
    return sorted(name for name in names if PurePosixPath(name).suffix.lower() in SUFFIXES)


@contextmanager
def opened(path: Path) -> Iterator[ReadFile]:
    """Open a folder or a zip archive to read its files by name; nothing is unpacked to disk.

    Raises:
        UsageError: It cannot be read.
    """
    if path.is_dir():
        yield lambda name: read_bytes(path / name)
    else:
        with _archive(path) as archive:
            yield partial(_member, path, archive)


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    with _reading(path):
        archive = zipfile.ZipFile(path)
    with archive:
        yield archive


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    with _reading(path):
        return archive.read(name)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Name the archive where it is damaged; what else fails around it is no fault of the file."""
    try:
        yield
    except UNREADABLE as error:
        raise UsageError(f"{path} cannot be read as a zip archive", received=error) from None


def sort_out(path: Path, names: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """Return the classes in alphabetical order, and the files of each part.

    Args:
        path: Where they are from.
        names: The pictures.

    Raises:
        UsageError: A part has no pictures.
    """
    found = [(part, label, name) for name in names for part, label in placed(name)]
    classes = tuple(sorted({label for _, label, _ in found}))
    numbers = {label: number for number, label in enumerate(classes)}
    parts = {}
    for wanted in ("train", "test"):
        files = [(name, numbers[label]) for part, label, name in found if part == wanted]
        if not files:
            raise UsageError(f"{path} has no {wanted} pictures", legal=LAYOUT)
        parts[wanted] = Listing(*map(tuple, zip(*files, strict=True)))
    return classes, parts


def placed(name: str) -> tuple[tuple[str, str], ...]:
    """Return part and class of a file, if it has them; the folders above them do not matter."""
    folders = PurePosixPath(name).parts[:-1]
    if len(folders) > 1 and folders[-2].lower() in PARTS:
        return ((PARTS[folders[-2].lower()], folders[-1]),)
    return ()


def decoded(names: Sequence[str], read: ReadFile, decoder: Decoder) -> Tensor:
    """Return the pictures of these names, ``(N, c, h, w)`` uint8.

    As many threads decode as there are cores: Pillow works outside the interpreter lock.

    Raises:
        UsageError: A file is not a picture of the common size.
    """
    chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]

    def decode(chunk: Sequence[str]) -> list[NDArray[np.uint8]]:
        return [decoder.decode(name, content) for name, content in read_all(chunk)]

    def read_all(chunk: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        return ((name, read(name)) for name in chunk)

    with ThreadPoolExecutor(len(usable_processors())) as pool:
        pictures = [picture for chunk in pool.map(decode, chunks) for picture in chunk]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()

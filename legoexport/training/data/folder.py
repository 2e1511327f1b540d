"""Image folders, and zip archives of them: ``train/CLASS/*.jpg`` and ``test/CLASS/*.jpg``."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legoexport.errors import UsageError
from legoexport.host.machine import usable_processors
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


def read_folder(path: Path, decoder: Decoder) -> ImageData:
    """Decode an image folder into memory.

    Raises:
        UsageError: The layout is another one, or a file is not a picture of the common size.
    """
    names = sorted(
        file.relative_to(path).as_posix()
        for file in path.rglob("*")
        if file.suffix.lower() in SUFFIXES and file.is_file()
    )
    return _decode_all(path, names, lambda name: (path / name).read_bytes(), decoder)


def read_zip(path: Path, decoder: Decoder) -> ImageData:
    """Decode a zip archive of an image folder into memory; nothing is unpacked to disk.

    Raises:
        UsageError: As for `read_folder`, or the file is not a zip archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(
                name
                for name in archive.namelist()
                if PurePosixPath(name).suffix.lower() in SUFFIXES and "__MACOSX" not in name
            )
            return _decode_all(path, names, archive.read, decoder)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise UsageError(f"{path} cannot be read as a zip archive", received=error) from None


def _decode_all(path: Path, names: Sequence[str], read: ReadFile, decoder: Decoder) -> ImageData:
    classes, parts = _sorted_out(path, names)
    train, test = (
        (_decoded(parts[part].names, read, decoder), torch.tensor(parts[part].labels))
        for part in ("train", "test")
    )
    return ImageData(*train, *test, class_names=classes)


def _sorted_out(path: Path, names: Sequence[str]) -> tuple[tuple[str, ...], dict[str, Listing]]:
    """Return the classes in alphabetical order, and the files of each part."""
    found = [(part, label, name) for name in names for part, label in _placed(name)]
    classes = tuple(sorted({label for _, label, _ in found}))
    parts = {}
    for wanted in ("train", "test"):
        files = [(name, classes.index(label)) for part, label, name in found if part == wanted]
        if not files:
            raise UsageError(f"{path} has no {wanted} pictures", legal=LAYOUT)
        parts[wanted] = Listing(*map(tuple, zip(*files, strict=True)))
    return classes, parts


def _placed(name: str) -> Iterator[tuple[str, str]]:
    """Yield part and class of a file; the folders above them do not matter."""
    folders = PurePosixPath(name).parts[:-1]
    if len(folders) > 1 and folders[-2].lower() in PARTS:
        yield PARTS[folders[-2].lower()], folders[-1]


def _decoded(names: Sequence[str], read: ReadFile, decoder: Decoder) -> Tensor:
    """Decode in as many threads as there are cores: Pillow decodes outside the interpreter lock."""
    chunks = [names[start : start + CHUNK] for start in range(0, len(names), CHUNK)]

    def decode(chunk: Sequence[str]) -> list[NDArray[np.uint8]]:
        return [decoder.decode(name, content) for name, content in read_all(chunk)]

    def read_all(chunk: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        return ((name, read(name)) for name in chunk)

    with ThreadPoolExecutor(len(usable_processors())) as pool:
        pictures = [picture for chunk in pool.map(decode, chunks) for picture in chunk]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()

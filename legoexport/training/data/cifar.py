"""CIFAR-10 as published: five training batches and a test batch, binary or pickled, bare or tarred.

Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009. A binary record is a label
and 1024 red, green and blue bytes; the pickled form is a dictionary with ``data`` and ``labels``.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Mapping
from lzma import LZMAError
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.models.checkpoint.damage import ForeignGlobalError, MalformedFileError
from legoexport.training.data.array_pickle import ByteArray, read_array_pickle
from legoexport.training.data.images import ImageData

CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
TRAIN_NAMES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_NAMES = ("test_batch",)
BINARY_SUFFIX = ".bin"
SHAPE = (3, 32, 32)
PICTURE_BYTES = 3 * 32 * 32
# A batch has 30.7 MB; a file that claims to be much larger is not a batch.
MOST_BYTES = 100_000_000

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def is_cifar_folder(path: Path) -> bool:
    """Return whether a folder, or one within it, holds a published batch."""
    return bool(_members(file for file in path.rglob("*_batch*") if file.is_file()))


def read_cifar_folder(path: Path) -> ImageData:
    """Read the batches in a folder.

    Raises:
        UsageError: A batch is missing, damaged, or asks for code.
    """
    files = _members(file for file in path.rglob("*_batch*") if file.is_file())
    return _assembled(path, {name: file.read_bytes() for name, file in files.items()})


def read_cifar_tar(path: Path) -> ImageData:
    """Read the batches in a tar archive, compressed or not; nothing is unpacked to disk.

    Raises:
        UsageError: As for `read_cifar_folder`, or the file is not a tar archive.
    """
    contents = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                if _is_batch(name) and member.isfile() and member.size <= MOST_BYTES:
                    file = archive.extractfile(member)
                    contents[name] = file.read() if file else b""
    except (tarfile.TarError, OSError, EOFError, zlib.error, LZMAError) as error:
        raise UsageError(f"{path} cannot be read as a tar archive", received=error) from None
    return _assembled(path, contents)


def _is_batch(name: str) -> bool:
    return name.removesuffix(BINARY_SUFFIX) in (*TRAIN_NAMES, *TEST_NAMES)


def _members(files: Iterable[Path]) -> dict[str, Path]:
    return {file.name: file for file in files if _is_batch(file.name)}


def _assembled(path: Path, contents: Mapping[str, bytes]) -> ImageData:
    parts = []
    for names in (TRAIN_NAMES, TEST_NAMES):
        batches = [_batch(path, name, contents) for name in names]
        images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
        if labels.max(initial=0) >= len(CLASSES):
            raise UsageError(f"{path}: label", received=labels.max(), legal="0 to 9")
        parts += [torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))]
    return ImageData(parts[0], parts[1], parts[2], parts[3], CLASSES)


def _batch(path: Path, name: str, contents: Mapping[str, bytes]) -> Batch:
    if f"{name}{BINARY_SUFFIX}" in contents:
        return _from_binary(path, name, contents[f"{name}{BINARY_SUFFIX}"])
    if name not in contents:
        raise UsageError(f"{path} lacks a batch of CIFAR-10", received=sorted(contents), legal=name)
    try:
        return _from_pickle(path, name, read_array_pickle(contents[name]))
    except (ForeignGlobalError, MalformedFileError) as error:
        raise UsageError(
            f"{path}: {name} is refused", received=error, legal="a dictionary of arrays and lists"
        ) from None


def _from_binary(path: Path, name: str, content: bytes) -> Batch:
    if not content or len(content) % (1 + PICTURE_BYTES):
        raise UsageError(
            f"{path}: {name}{BINARY_SUFFIX} is damaged",
            received=f"{len(content)} bytes",
            legal=f"a multiple of {1 + PICTURE_BYTES}",
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + PICTURE_BYTES)
    return records[:, 1:].reshape(-1, *SHAPE), records[:, 0]


def _from_pickle(path: Path, name: str, value: object) -> Batch:
    match value:
        case {"data": ByteArray(values=np.ndarray() as data), "labels": list(labels)} if (
            data.shape == (len(labels), PICTURE_BYTES)
            and labels
            and all(type(label) is int and 0 <= label < len(CLASSES) for label in labels)
        ):
            return data.reshape(-1, *SHAPE), np.array(labels, np.uint8)
    raise UsageError(
        f"{path}: {name} is not a batch of CIFAR-10",
        legal=f"data uint8 (N, {PICTURE_BYTES}), and labels, N numbers from 0 to 9",
    )

"""Images in ``.npy`` and ``.npz`` files, prepared as for training: streamed, never held as a whole.

A member of an ``.npz`` cannot be mapped into memory, so files of both kinds are read alike: the
header first, then each image from its place. In a compressed member, what lies between is inflated
and dropped.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from legoexport.errors import UsageError
from legoexport.host.reading import UNREADABLE
from legoexport.parity.image_series import ImageSeries, Positions, chunks

IMAGES_MEMBER = "images.npy"
LABELS_MEMBER = "labels.npy"
LEGAL = ".npy of images (N, c, h, w), or .npz with images and, if known, labels (N,)"
SKIPPED_BYTES = 2**18
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


@dataclass(frozen=True)
class ArrayPlace:
    """Where an array lies.

    Attributes:
        path: The file.
        member: Name of the array in an ``.npz``; None for an ``.npy``.
        start_bytes: Where its numbers begin.
        shape: Of the array.
        dtype: Of its elements.
        is_by_column: Whether the first index changes fastest, so that an image is scattered.
    """

    path: Path
    member: str | None
    start_bytes: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_by_column: bool

    @property
    def row_bytes(self) -> int:
        """Bytes of one image."""
        return self.dtype.itemsize * math.prod(self.shape[1:])


def open_arrays(
    path: Path, members: Container[str], input_shape: tuple[int, int, int]
) -> ImageSeries:
    """Find the images in a file, and read their labels.

    Args:
        path: The file.
        members: Names in the ``.npz``; none for an ``.npy``.
        input_shape: ``(c, h, w)`` that the network takes.

    Raises:
        UsageError: The file is damaged, or does not hold images of ``input_shape``.
    """
    place = _find(path, IMAGES_MEMBER if IMAGES_MEMBER in members else None)
    _check_images(place, input_shape)
    count = place.shape[0]
    labels = _read_labels(path, count) if LABELS_MEMBER in members else None
    return ImageSeries(f"images of {path.name}", count, input_shape, partial(_read, place), labels)


def _find(path: Path, member: str | None) -> ArrayPlace:
    with _opened(path, member) as (file, size_bytes):
        version = npy.read_magic(file)
        if version not in HEADERS:
            raise UsageError(f"cannot read {path}", received=f"npy version {version}", legal=LEGAL)
        shape, is_by_column, dtype = HEADERS[version](file)
        start = file.tell()
    if start + dtype.itemsize * math.prod(shape) > size_bytes:
        raise _ends_early(path)
    # numpy takes True for a 1 in a header, and not in a shape.
    return ArrayPlace(path, member, start, tuple(map(int, shape)), dtype, is_by_column)


def _read(place: ArrayPlace, positions: Positions, size: int) -> Iterator[NDArray[np.float32]]:
    with _opened(place.path, place.member) as (file, _):
        whole = npy.read_array(file) if place.is_by_column else None
        for chosen in chunks(positions, size):
            stored = _rows(file, place, chosen) if whole is None else whole[chosen]
            yield _as_float32(stored, place.path)


def _rows(file: IO[bytes], place: ArrayPlace, positions: Positions) -> NDArray[Any]:
    content = bytearray()
    for position in positions:
        _go_to(file, place.start_bytes + int(position) * place.row_bytes, place)
        content += file.read(place.row_bytes)
    if len(content) != len(positions) * place.row_bytes:
        raise _ends_early(place.path)
    return np.frombuffer(content, place.dtype).reshape(-1, *place.shape[1:])


def _go_to(file: IO[bytes], offset: int, place: ArrayPlace) -> None:
    if place.member is None:
        file.seek(offset)
        return
    # The seek of zipfile would hold 16 MB at a time.
    while file.tell() < offset and file.read(min(SKIPPED_BYTES, offset - file.tell())):
        pass


def _as_float32(stored: NDArray[Any], path: Path) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is refused
        images = stored.astype(np.float32)
    if not np.isfinite(images).all():
        raise UsageError(f"{path} holds NaN or infinite values")
    return images


def _check_images(place: ArrayPlace, input_shape: tuple[int, int, int]) -> None:
    fits = place.shape[1:] == tuple(input_shape) and place.shape[0] > 0
    if not (fits and np.issubdtype(place.dtype, np.floating)):
        raise UsageError(
            f"{place.path} does not fit the network",
            received=f"images {place.dtype} {place.shape}",
            legal=f"float32 (N, {', '.join(map(str, input_shape))}), prepared as for training",
        )


def _read_labels(path: Path, count: int) -> NDArray[np.int64]:
    place = _find(path, LABELS_MEMBER)
    if place.shape != (count,) or not np.issubdtype(place.dtype, np.integer):
        raise UsageError(
            f"{path}: labels must be one integer per image",
            received=f"{place.dtype} {place.shape}",
            legal=f"({count},)",
        )
    with _opened(path, LABELS_MEMBER) as (file, _):
        return np.asarray(npy.read_array(file), np.int64)


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[tuple[IO[bytes], int]]:
    """Open an array; give its bytes, header and all, and how many there are."""
    try:
        if member is None:
            with path.open("rb") as file:
                yield file, path.stat().st_size
        else:
            with zipfile.ZipFile(path) as archive, archive.open(member) as file:
                yield file, archive.getinfo(member).file_size
    except UNREADABLE as error:
        raise UsageError(f"cannot read {path}", received=error, legal=LEGAL) from None


def _ends_early(path: Path) -> UsageError:
    return UsageError(f"cannot read {path}", received="an array that ends early", legal=LEGAL)

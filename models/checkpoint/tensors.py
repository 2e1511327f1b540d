"""Tensors as a checkpoint file describes them: nothing is allocated before the numbers add up.

Storages are views of the file's bytes. A tensor is copied out of them when it is read, in the type
that is wanted, so reading takes the file and what the network keeps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from legoexport.models.checkpoint.damage import MalformedFileError

STORAGE_DTYPES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
}
# Early versions of torch named the storages of a GPU apart.
STORAGE_DTYPES |= {
    name.replace("torch.", "torch.cuda."): dtype for name, dtype in STORAGE_DTYPES.items()
}
# As they lie in a file, little-endian; numpy reads them at any address, and torch does not.
_IN_FILE = {
    torch.float32: "<f4",
    torch.float64: "<f8",
    torch.float16: "<f2",
    torch.bfloat16: "<i2",  # numpy has no such type; its bits are carried over to torch
    torch.int64: "<i8",
    torch.int32: "<i4",
    torch.int16: "<i2",
    torch.int8: "i1",
    torch.uint8: "u1",
    torch.bool: "?",
}
_MAX_DIMENSIONS = 8
_MAX_EXTENT = 2**40


@dataclass(frozen=True, eq=False)
class Storage:
    """A run of numbers in the file.

    Attributes:
        dtype: Type of each number.
        numel: How many numbers there are.
        read: Gives the bytes, ``size_bytes`` of them, where they lie.
    """

    dtype: torch.dtype
    numel: int
    read: Callable[[], memoryview]

    @property
    def size_bytes(self) -> int:
        """Length in the file."""
        return self.numel * self.dtype.itemsize

    @cached_property
    def flat(self) -> NDArray[np.generic]:
        """All the numbers as a view ``(numel,)`` of the file; found once, however many tensors."""
        return np.frombuffer(self.read(), _IN_FILE[self.dtype], self.numel)


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor that the file holds.

    Attributes:
        dtype: Type of its elements, as stored.
        shape: Its shape; never more elements than its storage has.
        read: Makes a tensor of the type that it is given, on the CPU, with memory of its own.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    read: Callable[[torch.dtype], torch.Tensor]


def declared_storage(
    storage_type: str, numel: object, limit_bytes: int, read: Callable[[], memoryview]
) -> Storage:
    """Describe a storage that a pickle refers to.

    Args:
        storage_type: Dotted name of its type, one of `STORAGE_DTYPES`.
        numel: How many numbers the pickle says it has.
        limit_bytes: No storage here can be longer.
        read: Gives its bytes.

    Returns:
        The storage, not yet read.

    Raises:
        MalformedFileError: An element count that is none, or more than there can be.
    """
    if type(numel) is not int or numel < 0:
        raise MalformedFileError("a storage without a size")
    storage = Storage(STORAGE_DTYPES[storage_type], numel, read)
    if storage.size_bytes > limit_bytes:
        raise MalformedFileError(
            f"a storage of {storage.size_bytes} bytes where there are {limit_bytes}"
        )
    return storage


def stored_tensor(storage: object, offset: object, shape: object, stride: object) -> StoredTensor:
    """Describe a view into a storage.

    Args:
        storage: The `Storage` viewed.
        offset: First element of the view.
        shape: Size of each dimension.
        stride: Elements between neighbours, for each dimension.

    Returns:
        The tensor, not yet read.

    Raises:
        MalformedFileError: The view is malformed, or reaches outside its storage.
    """
    if not isinstance(storage, Storage):
        raise MalformedFileError(f"a tensor over {type(storage).__name__} instead of a storage")
    (start,), size, steps = _extents((offset,)), _extents(shape), _extents(stride)
    if len(size) != len(steps):
        raise MalformedFileError(f"a tensor of {len(size)} dimensions with {len(steps)} strides")
    numel = math.prod(size)
    last = start + sum((extent - 1) * step for extent, step in zip(size, steps, strict=True))
    # torch itself would grow the storage to fit; a file must hold what its tensors claim.
    if numel and (numel > storage.numel or last >= storage.numel):
        raise MalformedFileError(f"a tensor of shape {size} in a storage of {storage.numel}")
    return StoredTensor(
        storage.dtype, size, lambda dtype: _copied(storage, start, size, steps, dtype)
    )


def _extents(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple) or len(values) > _MAX_DIMENSIONS:
        raise MalformedFileError("a tensor's geometry is not a tuple of a few numbers")
    for value in values:
        if type(value) is not int or not 0 <= value <= _MAX_EXTENT:
            raise MalformedFileError("a tensor's geometry has an impossible number in it")
    return tuple(values)


def _copied(
    storage: Storage,
    offset: int,
    shape: tuple[int, ...],
    stride: tuple[int, ...],
    dtype: torch.dtype,
) -> torch.Tensor:
    if not math.prod(shape):
        return torch.empty(shape, dtype=dtype)
    flat = storage.flat[offset:]
    seen = as_strided(flat, shape, [step * flat.itemsize for step in stride], writeable=False)
    if torch.bfloat16 in (storage.dtype, dtype):
        return torch.from_numpy(seen.copy(order="C")).view(storage.dtype).to(dtype)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite weights are refused by name
        return torch.from_numpy(seen.astype(_IN_FILE[dtype], order="C"))

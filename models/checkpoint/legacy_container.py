"""The format that ``torch.save`` wrote before torch 1.6: pickles, then the storages."""

from __future__ import annotations

from legoexport.models.checkpoint.damage import MalformedFileError
from legoexport.models.checkpoint.pickle_stream import read_pickle
from legoexport.models.checkpoint.tensors import Storage, declared_storage

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_COUNT_BYTES = 8


class _LegacyStorages:
    """The storages of a legacy file, which follow the pickle that refers to them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._storages: dict[str, Storage] = {}
        self._starts: dict[str, int] = {}

    def declare(self, key: str, storage_type: str, numel: object) -> Storage:
        """Note a reference to a storage, as the pickle makes it."""
        storage = declared_storage(storage_type, numel, len(self._data), lambda: self._read(key))
        first = self._storages.setdefault(key, storage)
        if (first.dtype, first.numel) != (storage.dtype, storage.numel):
            raise MalformedFileError(f"storage {key!r} is described in two ways")
        return first

    def locate(self, keys: object, position: int) -> None:
        """Find each storage behind the last pickle, in the order of the keys."""
        if not isinstance(keys, list) or len(keys) != len(self._storages):
            raise MalformedFileError("the storages in the file are not those its tensors refer to")
        for key in keys:
            if not isinstance(key, str) or key not in self._storages or key in self._starts:
                raise MalformedFileError("a storage that no tensor refers to")
            count = int.from_bytes(self._data[position : position + _COUNT_BYTES], "little")
            if count != self._storages[key].numel:
                raise MalformedFileError(f"storage {key!r} is described in two ways")
            self._starts[key] = position + _COUNT_BYTES
            position += _COUNT_BYTES + self._storages[key].size_bytes
            if position > len(self._data):
                raise MalformedFileError("the file ends early")

    def _read(self, key: str) -> memoryview:
        start = self._starts[key]
        return memoryview(self._data)[start : start + self._storages[key].size_bytes]


def read_legacy(data: bytes) -> object:
    """Read a file in the format that ``torch.save`` wrote before torch 1.6.

    Five pickles in a row (magic number, protocol, system, the value, storage keys), then for each
    key a count of elements as a little-endian int64 and the elements.

    Args:
        data: The whole file.

    Returns:
        The value saved, its tensors as `StoredTensor`.

    Raises:
        MalformedFileError: No such file, or one that contradicts itself or ends early.
    """
    storages = _LegacyStorages(data)
    magic, position = read_pickle(data, 0, storages.declare)
    if magic != _MAGIC:
        raise MalformedFileError("a pickle that torch.save did not write")
    protocol, position = read_pickle(data, position, storages.declare)
    system, position = read_pickle(data, position, storages.declare)
    if protocol != _PROTOCOL or not isinstance(system, dict):
        raise MalformedFileError("a protocol that torch.save never used")
    if system.get("little_endian") is not True:
        raise MalformedFileError("numbers in another byte order than little")
    value, position = read_pickle(data, position, storages.declare)
    keys, position = read_pickle(data, position, storages.declare)
    storages.locate(keys, position)
    return value

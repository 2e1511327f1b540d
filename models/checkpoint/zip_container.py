"""The zip archive that ``torch.save`` writes: one pickle, and one record for each storage."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from legoexport.models.checkpoint.damage import MalformedFileError, foreign_reader
from legoexport.models.checkpoint.pickle_stream import read_pickle
from legoexport.models.checkpoint.tensors import Storage, declared_storage

_DAMAGED = "a zip archive that ends early or is damaged"
_PICKLE = "data.pkl"
# Of a record: the lengths of its name and of its extra field are the last of its 30 bytes.
_HEADER_BYTES = 30
_LENGTHS = struct.Struct("<HH")


def read_zip(data: bytes) -> object:
    """Read a zip archive written by ``torch.save``.

    Args:
        data: The whole file.

    Returns:
        The value saved, its tensors as `StoredTensor`.

    Raises:
        MalformedFileError: No such archive, or one that is damaged or contradicts itself.
    """
    archive = _Archive(data)
    archive.check_kind()
    storages: dict[str, Storage] = {}

    def read_storage(key: str, storage_type: str, numel: object) -> Storage:
        record = f"data/{key}"
        storage = declared_storage(
            storage_type, numel, archive.size_bytes(record), lambda: archive.read(record)
        )
        first = storages.setdefault(key, storage)
        if (first.dtype, first.numel) != (storage.dtype, storage.numel):
            raise MalformedFileError(f"storage {key!r} is described in two ways")
        return first

    span = archive.span(_PICKLE)
    return read_pickle(data, span.start, read_storage, span.stop)[0]


class _Archive:
    """The records of an archive, by their names below the folder that all of them are in.

    Every method raises `MalformedFileError` where the archive is damaged.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        with foreign_reader(_DAMAGED):
            self._archive = zipfile.ZipFile(io.BytesIO(data))
        self._records = {info.filename: info for info in self._archive.infolist()}
        # Records that lie over each other would let a small file hold any number of large ones.
        if sum(info.file_size for info in self._archive.infolist()) > len(data):
            raise MalformedFileError("a zip archive whose records are larger than the file")
        pickles = [name for name in self._records if name.endswith(f"/{_PICKLE}")]
        if len(pickles) != 1:
            raise MalformedFileError("a zip archive without the one data.pkl of torch.save")
        self._root = pickles[0].removesuffix(_PICKLE)

    def check_kind(self) -> None:
        """Refuse TorchScript, and numbers in an order that is not this machine's."""
        if self._has("constants.pkl"):
            raise MalformedFileError(
                "a TorchScript archive, which holds code, instead of a checkpoint"
            )
        if self._has("byteorder") and bytes(self.read("byteorder")) != b"little":
            raise MalformedFileError("numbers in another byte order than little")

    def _has(self, name: str) -> bool:
        return f"{self._root}{name}" in self._records

    def size_bytes(self, name: str) -> int:
        """How many bytes a record has."""
        return self._record(name).file_size

    def read(self, name: str) -> memoryview:
        """A record where it lies, its sum checked."""
        span = self.span(name)
        return memoryview(self._data)[span.start : span.stop]

    def span(self, name: str) -> slice:
        """Where a record lies in the file, its sum checked."""
        record = self._record(name)
        with foreign_reader(_DAMAGED):
            self._archive.open(record).close()  # what stands before the record agrees
            place = record.header_offset + _HEADER_BYTES
            lengths = _LENGTHS.unpack_from(self._data, place - _LENGTHS.size)
        start = place + sum(lengths)
        found = slice(start, start + record.file_size)
        content = memoryview(self._data)[found]
        if len(content) != record.file_size:
            raise MalformedFileError("the file ends early")
        if zlib.crc32(content) != record.CRC:
            raise MalformedFileError(f"record {name!r} is damaged: its sum is another")
        return found

    def _record(self, name: str) -> zipfile.ZipInfo:
        record = self._records.get(f"{self._root}{name}")
        if record is None:
            raise MalformedFileError(f"record {name!r} is missing")
        # torch never compresses, so a compressed record can only be there to burst.
        if record.compress_type != zipfile.ZIP_STORED or record.file_size != record.compress_size:
            raise MalformedFileError(f"record {name!r} is compressed")
        return record

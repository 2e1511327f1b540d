"""The zip archive that ``torch.save`` writes: one pickle, and one record for each storage."""

from __future__ import annotations

import io
import zipfile

from legoexport.models.checkpoint.pickle_stream import read_pickle
from legoexport.models.checkpoint.tensors import MalformedFileError, Storage, declared_storage

ZIP_SIGNATURE = b"PK\x03\x04"


def read_zip(data: bytes) -> object:
    """Read a zip archive written by ``torch.save``.

    Args:
        data: The whole file.

    Returns:
        The value saved, its tensors as `StoredTensor`.

    Raises:
        MalformedFileError: No such archive, or one that contradicts itself.
        zipfile.BadZipFile: A damaged or truncated archive.
    """
    archive = zipfile.ZipFile(io.BytesIO(data))
    root = _root(archive)
    storages: dict[tuple[str, str], Storage] = {}

    def read_storage(key: str, storage_type: str, numel: object) -> Storage:
        name = f"{root}data/{key}"
        if (name, storage_type) not in storages:
            size_bytes = _record(archive, name).file_size
            storages[name, storage_type] = declared_storage(
                storage_type, numel, size_bytes, lambda: bytearray(_read_record(archive, name))
            )
        return storages[name, storage_type]

    return read_pickle(_read_record(archive, f"{root}data.pkl"), 0, read_storage)[0]


def _root(archive: zipfile.ZipFile) -> str:
    pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise MalformedFileError("a zip archive without the one data.pkl that torch.save writes")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in archive.namelist():
        raise MalformedFileError("a TorchScript archive, which holds code, instead of a checkpoint")
    byte_order = f"{root}byteorder"
    if byte_order in archive.namelist() and _read_record(archive, byte_order) != b"little":
        raise MalformedFileError("numbers in another byte order than little")
    return root


def _record(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    info = archive.getinfo(name)
    # torch never compresses, so a compressed record can only be there to burst.
    if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
        raise MalformedFileError(f"record {name!r} is compressed")
    return info


def _read_record(archive: zipfile.ZipFile, name: str) -> bytes:
    content = archive.read(info := _record(archive, name))
    if len(content) != info.file_size:
        raise MalformedFileError("the file ends early")
    return content

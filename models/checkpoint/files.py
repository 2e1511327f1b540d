"""From a file's bytes to plain values: which container it is, and what that holds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from legoexport.errors import CheckpointError
from legoexport.host.kinds import Kind, kind_of_bytes
from legoexport.models.checkpoint.converted import check_not_converted
from legoexport.models.checkpoint.damage import MalformedFileError
from legoexport.models.checkpoint.legacy_container import read_legacy
from legoexport.models.checkpoint.safetensors_container import read_safetensors
from legoexport.models.checkpoint.zip_container import read_zip

SAFETENSORS_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Content:
    """What a file holds, as plain values.

    Attributes:
        sha256: Digest of the very bytes that were read, hexadecimal.
        container: "zip", "legacy" or "safetensors".
        size_bytes: Of the file.
        value: The value saved; tensors are `StoredTensor`, modules are `StandIn`.
    """

    sha256: str
    container: str
    size_bytes: int
    value: object


def read_bytes(path: Path) -> bytes:
    """Read a whole file.

    Args:
        path: The file.

    Returns:
        Its bytes, at least one.

    Raises:
        CheckpointError: There is none, it is empty or no file, or it cannot be read.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist", next_step="check the path")
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file", legal="a checkpoint file")
    try:
        data = path.read_bytes()
    except (OSError, MemoryError) as error:
        raise CheckpointError(f"{path} cannot be read", received=repr(error)) from error
    if not data:
        raise CheckpointError(f"{path} is empty", next_step="copy the file again")
    return data


def read_content(data: bytes) -> Content:
    """Read a file whose kind its first bytes tell.

    Args:
        data: The whole file.

    Returns:
        Its content, tensors described but not yet read.

    Raises:
        CheckpointError: It is an ONNX file, or one in ORT format.
        ForeignGlobalError: It asks for code.
        MalformedFileError: It is damaged, or no checkpoint.
    """
    container, value = _contained(data)
    return Content(hashlib.sha256(data).hexdigest(), container, len(data), value)


def _contained(data: bytes) -> tuple[str, object]:
    kind = kind_of_bytes(data)
    if kind is Kind.ZIP:
        return "zip", read_zip(data)
    if kind is Kind.CHECKPOINT:
        return "legacy", read_legacy(data)
    if kind is Kind.SAFETENSORS:
        return "safetensors", read_safetensors(data)
    check_not_converted(kind)
    raise MalformedFileError("bytes of no known kind")

"""From a path to plain values: which container it is, and one kind of error for all its faults."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint.legacy_container import PICKLE_SIGNATURE, read_legacy
from legoexport.models.checkpoint.tensors import (
    ForeignGlobalError,
    MalformedFileError,
    StoredTensor,
)
from legoexport.models.checkpoint.zip_container import ZIP_SIGNATURE, read_zip

METADATA_KEY = "legoexport"
SAFETENSORS_SUFFIX = ".safetensors"
_HEADER_LENGTH_BYTES = 8
# What damaged bytes make the readers of the standard library and of safetensors raise.
_SYMPTOMS = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
)


@dataclass(frozen=True)
class Content:
    """What a file holds, as plain values.

    Attributes:
        sha256: Digest of the very bytes that were read, hexadecimal.
        container: "zip", "legacy" or "safetensors".
        value: The value saved; tensors are `StoredTensor`, modules are `StandIn`.
    """

    sha256: str
    container: str
    value: object


def read_content(path: Path) -> Content:
    """Read a file whose kind its first bytes tell.

    Args:
        path: The file.

    Returns:
        Its content, tensors described but not yet read.

    Raises:
        CheckpointError: The file is missing, damaged, no checkpoint, or asks for code.
    """
    data = _read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    with explained(path):
        if data.startswith(ZIP_SIGNATURE):
            return Content(digest, "zip", read_zip(data))
        if data.startswith(PICKLE_SIGNATURE):
            return Content(digest, "legacy", read_legacy(data))
        if data[_HEADER_LENGTH_BYTES : _HEADER_LENGTH_BYTES + 1] == b"{":
            return Content(digest, "safetensors", _read_safetensors(data))
        raise MalformedFileError("bytes of no known kind")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn whatever damaged bytes raise into an error that names the file.

    Args:
        path: The file being read inside the block.

    Raises:
        CheckpointError: Anything but a `CheckpointError` was raised for a damaged file.
    """
    try:
        yield
    except CheckpointError:
        raise
    except ForeignGlobalError as error:
        raise CheckpointError(
            f"{path} asks for {error.name}, which is no part of a checkpoint; nothing was run",
            received=error.name,
            legal="tensors, plain values, and the classes of the published lego_vgg16",
            next_step="where the model was trained, save its weights alone: "
            "torch.save(model.state_dict(), 'weights.pt')",
        ) from None
    except _SYMPTOMS as error:
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint: it is damaged, cut short, or something else",
            received=_symptom(error),
            legal="a file that torch.save or safetensors wrote",
            next_step="copy the file again from where it was saved, and compare the sizes",
        ) from error


def _symptom(error: Exception) -> str:
    if isinstance(error, zipfile.BadZipFile):
        return f"a zip archive that ends early or is damaged ({error})"
    return str(error) if isinstance(error, MalformedFileError) else repr(error)


def _read_bytes(path: Path) -> bytes:
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


def _read_safetensors(data: bytes) -> object:
    tensors = {name: _in_memory(tensor) for name, tensor in load_safetensors(data).items()}
    header_bytes = int.from_bytes(data[:_HEADER_LENGTH_BYTES], "little")
    header = json.loads(data[_HEADER_LENGTH_BYTES : _HEADER_LENGTH_BYTES + header_bytes])
    facts = (header.get("__metadata__") or {}).get(METADATA_KEY)
    if facts is None:
        return tensors
    return {**json.loads(facts), "state_dict": tensors}


def _in_memory(tensor: torch.Tensor) -> StoredTensor:
    return StoredTensor(tensor.dtype, tuple(tensor.shape), lambda: tensor)

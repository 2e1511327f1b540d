"""What a file holds, by its first bytes: never by its name, and without running any of it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType

HEAD_BYTES = 512
ZIP = b"PK\x03\x04"
PICKLE = b"\x80"
TEXT_CONTROLS = {*range(0x20), 0x7F} - {*b"\t\n\r\f"}
SAFETENSORS_LENGTH_BYTES = 8
# A ModelProto starts with its field 1, ir_version, a small varint; a length-delimited field or
# opset_import follows (onnx.proto of ONNX 1.23).
ONNX_START, LARGEST_IR_VERSION = 0x08, 0x7F
ONNX_SECOND_TAGS = frozenset(b"\x12\x1a\x22\x28\x32\x3a\x42")
ORT_IDENTIFIER = b"ORTM"


class Kind(Enum):
    """Kinds of files that the commands read and write; the value is how messages call one."""

    ONNX = "an ONNX file"
    ORT = "a model in ORT format"
    CHECKPOINT = "a PyTorch checkpoint"
    SAFETENSORS = "a safetensors file"
    ARRAYS = "arrays (.npz)"
    ZIP = "a zip archive"
    JSON = "a JSON file"
    TEXT = "a text file"
    OTHER = "another kind of file"


def kind_of(path: Path) -> Kind | None:
    """Return what the regular file at ``path`` holds, or None if it is empty.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return None
    kind = kind_of_bytes(head)
    return _kind_of_zip(path) if kind is Kind.ZIP else kind


def kind_of_bytes(data: bytes) -> Kind:
    """Return what a file that starts with ``data`` holds; of an archive not what is in it.

    A checkpoint is one in the format before torch 1.6; later ones are zip archives.
    """
    head = data[:HEAD_BYTES]
    kinds = (kind for kind, is_one in STARTS.items() if is_one(head))
    return next(kinds, Kind.OTHER)


def _starts_as_safetensors(head: bytes) -> bool:
    """A length, little-endian, then a header in JSON. The lowest byte may be that of a pickle."""
    length, header = head[:SAFETENSORS_LENGTH_BYTES], head[SAFETENSORS_LENGTH_BYTES:]
    is_length = not length.startswith(PICKLE) or length.endswith(bytes(4))
    return header.startswith(b"{") and is_length


def _starts_as_onnx(head: bytes) -> bool:
    return (
        len(head) > 2  # noqa: PLR2004 - two bytes of ir_version, and the tag after them
        and head[0] == ONNX_START
        and 0 < head[1] <= LARGEST_IR_VERSION
        and head[2] in ONNX_SECOND_TAGS
    )


def _kind_of_zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return Kind.ZIP
    if any(name.endswith("data.pkl") for name in names):
        return Kind.CHECKPOINT
    if names and all(name.endswith(".npy") for name in names):
        return Kind.ARRAYS
    return Kind.ZIP


def _starts_as_text(head: bytes) -> bool:
    return TEXT_CONTROLS.isdisjoint(head)


# The first that holds is taken.
STARTS: Mapping[Kind, Callable[[bytes], bool]] = MappingProxyType(
    {
        Kind.ZIP: lambda head: head.startswith(ZIP),
        Kind.ORT: lambda head: head[4:8] == ORT_IDENTIFIER,
        Kind.SAFETENSORS: _starts_as_safetensors,
        Kind.CHECKPOINT: lambda head: head.startswith(PICKLE),
        Kind.ONNX: _starts_as_onnx,
        Kind.JSON: lambda head: _starts_as_text(head) and head.lstrip()[:1] in {b"{", b"["},
        Kind.TEXT: _starts_as_text,
    }
)

"""The format of safetensors: a header in JSON, and the tensors one after the other.

The library reads a file in memory into a second copy of it, and its header into any number of
objects; here tensors stay where they lie.
"""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

import torch

from legoexport.host.kinds import SAFETENSORS_LENGTH_BYTES
from legoexport.models.checkpoint.damage import MalformedFileError, foreign_reader
from legoexport.models.checkpoint.tensors import Storage, StoredTensor, stored_tensor

METADATA_KEY = "legoexport"
_METADATA = "__metadata__"
_MOST_HEADER_BYTES = 2**23
# A tensor has ten: a name, a type, a shape of four numbers and two offsets.
_MOST_HEADER_PARTS = 10**6
_PARTS = (b"{", b"[", b",")
_DTYPES = {
    "BOOL": torch.bool,
    **{f"U{bits}": getattr(torch, f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"I{bits}": getattr(torch, f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"F{bits}": getattr(torch, f"float{bits}") for bits in (16, 32, 64)},
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "C64": torch.complex64,
}


def read_safetensors(data: bytes) -> object:
    """Read a file in the format of safetensors.

    Args:
        data: The whole file.

    Returns:
        Its tensors by name; for one of legoexport's own, what it says of the network beside them.

    Raises:
        MalformedFileError: No such file, or one that contradicts itself or ends early.
    """
    header_bytes = int.from_bytes(data[:SAFETENSORS_LENGTH_BYTES], "little")
    if header_bytes > _MOST_HEADER_BYTES:
        raise MalformedFileError(f"a safetensors header of {header_bytes} bytes")
    start = SAFETENSORS_LENGTH_BYTES + header_bytes
    if start > len(data):
        raise MalformedFileError("a safetensors file that ends early")
    header = _json_object(data[SAFETENSORS_LENGTH_BYTES:start])
    metadata = header.pop(_METADATA, None)
    content = memoryview(data)[start:]
    tensors = {name: _tensor(name, entry, content) for name, entry in header.items()}
    _check_places(header.values(), len(content))
    facts = metadata.get(METADATA_KEY) if isinstance(metadata, dict) else None
    if facts is None:
        return tensors
    if not isinstance(facts, str):
        raise MalformedFileError("metadata that is not text")
    return {**_json_object(facts), "state_dict": tensors}


def _tensor(name: str, entry: object, content: memoryview) -> StoredTensor:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(first), int(last)]}:
            pass
        case _:
            raise MalformedFileError(f"tensor {name!r} without its type, shape and place")
    if dtype not in _DTYPES:
        raise MalformedFileError(f"tensor {name!r} holds numbers of type {dtype}")
    if any(type(extent) is not int for extent in shape):
        raise MalformedFileError(f"tensor {name!r} with a shape that is none")
    size_bytes, numel = last - first, math.prod(shape)
    if not 0 <= first <= last <= len(content) or size_bytes != numel * _DTYPES[dtype].itemsize:
        raise MalformedFileError(f"tensor {name!r} is not as long as its place in the file")
    storage = Storage(_DTYPES[dtype], numel, lambda: content[first:last])
    strides = tuple(accumulate(shape[:0:-1], operator.mul, initial=1))[::-1]
    return stored_tensor(storage, 0, tuple(shape), strides[: len(shape)])


def _check_places(entries: Iterable[Any], size_bytes: int) -> None:
    """Hold the tensors to lying one behind the other, with nothing between and nothing behind."""
    end = 0
    for first, last in sorted(entry["data_offsets"] for entry in entries):
        if first != end:
            raise MalformedFileError("a safetensors file whose tensors lie over each other")
        end = last
    if end != size_bytes:
        raise MalformedFileError(f"a safetensors file with {size_bytes - end} bytes of no tensor")


def _json_object(text: str | bytes) -> dict[str, object]:
    raw = text.encode(errors="replace") if isinstance(text, str) else text
    if sum(map(raw.count, _PARTS)) > _MOST_HEADER_PARTS:
        raise MalformedFileError(f"JSON of more than {_MOST_HEADER_PARTS} parts")
    with foreign_reader("JSON that is damaged"):
        value = json.loads(text)
    if not isinstance(value, dict):
        raise MalformedFileError(f"JSON that holds a {type(value).__name__} instead of an object")
    return value

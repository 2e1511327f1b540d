"""What bench reads of a model file itself; the rest is up to ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError


def read_graph(path: Path) -> onnx.GraphProto:
    """Read the graph without external data; empty for ONNX Runtime's own format, which has none."""
    try:
        return onnx.load(path, load_external_data=False).graph
    except DecodeError:
        return onnx.GraphProto()


def file_size_bytes(path: Path) -> int:
    """Size of a model and of the files that hold its external data."""
    locations = {
        entry.value
        for tensor in read_graph(path).initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    return sum(file.stat().st_size for file in (path, *(path.parent / name for name in locations)))

"""Inventory of a converted file, from what the file itself says. Nothing here imports torch."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from legoexport.errors import UsageError
from legoexport.inspect.dense_macs import dense_macs
from legoexport.inspect.inventory import DensePart, Inventory, LayerRow, StoredBytes
from legoexport.lego.counts import LegoShape
from legoexport.lego.names import owner

LAYERS_KEY = "legoexport.layers"
FLOAT_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
SIZES = ("o", "m", "n", "c", "filters_used", "pairs_used")
PAIRS = ("kernel", "stride", "padding", "dilation", "input_size")


def load_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX file.

    Raises:
        UsageError: There is no such file, or it is not ONNX.
    """
    try:
        return onnx.load(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}", received=error.strerror) from None
    except DecodeError as error:
        raise UsageError(f"{path} is not an ONNX file", received=error) from None


def summarize_model(model: onnx.ModelProto) -> Inventory:
    """Take the inventory of a converted model.

    Raises:
        UsageError: legoexport did not convert it, or its metadata is damaged.
    """
    rows = _rows(model)
    tensors = _by_kind(model.graph)
    size_bytes = {kind: sum(map(_size_bytes, found)) for kind, found in tensors.items()}
    graph_bytes = model.ByteSize() - sum(size_bytes.values())
    stored = StoredBytes(size_bytes["bank"], size_bytes["table"], size_bytes["dense"], graph_bytes)
    weights = sum(prod(t.dims) for t in tensors["dense"] if t.data_type in FLOAT_TYPES)
    return Inventory(rows, DensePart(weights, dense_macs(model)), stored)


def _rows(model: onnx.ModelProto) -> tuple[LayerRow, ...]:
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if LAYERS_KEY not in metadata:
        raise UsageError(
            f"the ONNX file carries no {LAYERS_KEY} metadata",
            received=f"produced by {model.producer_name or 'an unknown program'}",
            legal="a file that legoexport convert wrote, or a checkpoint",
        )
    try:
        return tuple(_row(record) for record in list(json.loads(metadata[LAYERS_KEY])))
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"the {LAYERS_KEY} metadata of the ONNX file is damaged",
            received=f"{type(error).__name__}: {error}",
            next_step="convert the checkpoint again",
        ) from None


def _row(record: dict[str, object]) -> LayerRow:
    layer, lowering = record["layer"], record["lowering"]
    if not (isinstance(layer, str) and isinstance(lowering, str)):
        raise TypeError(f"layer and lowering are names, received {layer!r} and {lowering!r}")
    sizes = {key: _integers(record[key], 1)[0] for key in SIZES}
    pairs = {key: _integers(record[key], 2) for key in PAIRS}
    if min(sizes.values()) < 1 or sizes["c"] % sizes["o"]:
        raise ValueError(f"no Lego layer has the sizes {sizes}")
    if min(pairs["padding"]) < 0 or min(min(pairs[key]) for key in PAIRS if key != "padding") < 1:
        raise ValueError(f"no Lego layer has the geometry {pairs}")
    shape = LegoShape(**sizes, **pairs)  # type: ignore[arg-type]
    if shape.filters_used > shape.m or shape.pairs_used > shape.o * shape.m:
        raise ValueError(f"a layer uses more filters than it has: {sizes}")
    if min(shape.output_size) < 1:
        raise ValueError(f"the kernel does not fit into the input: {pairs}")
    return LayerRow(layer, shape, lowering=lowering)


def _integers(value: object, length: int) -> tuple[int, ...]:
    numbers = tuple(value) if isinstance(value, list) else (value,)
    if len(numbers) != length or not all(type(number) is int for number in numbers):
        raise ValueError(f"expected {length} integers, received {value!r}")
    return numbers


def _by_kind(graph: onnx.GraphProto) -> dict[str, list[onnx.TensorProto]]:
    read_by_lego = {name for node in graph.node if owner(node.name) for name in node.input}
    tensors: dict[str, list[onnx.TensorProto]] = {"bank": [], "table": [], "dense": []}
    for tensor in graph.initializer:
        if owner(tensor.name):
            tensors["table"].append(tensor)
        else:
            tensors["bank" if tensor.name in read_by_lego else "dense"].append(tensor)
    return tensors


def _size_bytes(tensor: onnx.TensorProto) -> int:
    return int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * prod(tensor.dims))

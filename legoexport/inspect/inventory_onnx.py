"""Inventory of a converted file, from what the file itself says. Nothing here imports torch."""

from __future__ import annotations

from math import prod
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from legoexport.errors import UsageError
from legoexport.inspect.dense_macs import dense_macs
from legoexport.inspect.inventory import DensePart, Inventory, LayerRow, StoredBytes
from legoexport.inspect.own_counts import own_counts
from legoexport.lego.layer_records import LAYERS_KEY, LayerRecord, read_layers
from legoexport.lego.names import codes_name, owner, scale_name

FLOAT_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)


def load_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX file.

    Raises:
        UsageError: There is no such file, it is not ONNX, or what it keeps elsewhere is missing.
    """
    try:
        return onnx.load(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}", received=error.strerror) from None
    except DecodeError as error:
        raise UsageError(f"{path} is not an ONNX file", received=error) from None
    except onnx.checker.ValidationError as error:
        raise UsageError(f"{path} lacks tensors kept in another file", received=error) from None


def summarize_model(model: onnx.ModelProto) -> Inventory:
    """Take the inventory of a converted model.

    Raises:
        UsageError: legoexport did not convert it, or its metadata is damaged.
    """
    rows = tuple(LayerRow(one.layer, one.shape, lowering=one.lowering) for one in _records(model))
    tensors = _by_kind(model.graph)
    size_bytes = {kind: sum(map(_size_bytes, found)) for kind, found in tensors.items()}
    graph_bytes = model.ByteSize() - sum(size_bytes.values())
    stored = StoredBytes(size_bytes["bank"], size_bytes["table"], size_bytes["dense"], graph_bytes)
    steps = {node.input[1] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    dense = [one for one in _without_scales(tensors["dense"]) if one.name not in steps]
    counts = own_counts(model.graph)
    weights = sum(counts[one.name] for one in dense if _is_weight(one))
    return Inventory(rows, DensePart(weights, dense_macs(model)), stored)


def _records(model: onnx.ModelProto) -> tuple[LayerRecord, ...]:
    records = read_layers(model)
    if records is None:
        raise UsageError(
            f"the ONNX file carries no {LAYERS_KEY} metadata",
            received=f"produced by {model.producer_name or 'an unknown program'}",
            legal="a file that legoexport convert wrote, or a checkpoint",
        )
    return records


def _by_kind(graph: onnx.GraphProto) -> dict[str, list[onnx.TensorProto]]:
    read_by_lego = {name for node in graph.node if owner(node.name) for name in node.input}
    tensors: dict[str, list[onnx.TensorProto]] = {"bank": [], "table": [], "dense": []}
    for tensor in graph.initializer:
        if owner(tensor.name):
            tensors["table"].append(tensor)
        else:
            tensors["bank" if tensor.name in read_by_lego else "dense"].append(tensor)
    return tensors


def _without_scales(tensors: list[onnx.TensorProto]) -> list[onnx.TensorProto]:
    """Leave out the scales of codes: they are part of how a weight is written."""
    names = {tensor.name for tensor in tensors}
    ends = codes_name(""), scale_name("")
    scales = {one.removesuffix(ends[0]) + ends[1] for one in names if one.endswith(ends[0])}
    return [tensor for tensor in tensors if tensor.name not in scales]


def _is_weight(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type in FLOAT_TYPES or tensor.name.endswith(codes_name(""))


def _size_bytes(tensor: onnx.TensorProto) -> int:
    return int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize * prod(tensor.dims))

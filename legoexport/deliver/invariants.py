"""The promises every converted file keeps; breaking one fails the conversion."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import numpy_helper

from legoexport.compile.stages import Compiled
from legoexport.errors import InvariantBroken, UsageError
from legoexport.inspect.inventory import StoredBytes
from legoexport.lego.counts import FLOAT_BYTES, INDEX_BYTES
from legoexport.lego.frozen import FrozenLego
from legoexport.lego.names import codes_name, owner, scale_name
from legoexport.lego.storage import Encoded, is_encoded, stored_bytes
from legoexport.operators import FOLDED_OPS
from legoexport.target import CPU, Target

# Room for the index rows of a lowering and for other small constants.
SIZE_MARGIN_RATIO = 0.05
# A node with its names and its shape takes about this much; a tiny network is mostly nodes.
BYTES_PER_NODE = 512
# Digests, versions and passes are there however small the network is.
PROVENANCE_BYTES = 1024


def size_budget(compiled: Compiled) -> StoredBytes:
    """Add up what the file has to store, with an allowance for nodes, names and shapes."""
    layers = [layer.frozen for layer in compiled.layers]
    entry_bytes = INDEX_BYTES + FLOAT_BYTES
    return StoredBytes(
        bank_bytes=sum(
            stored_bytes(bank.shape, compiled.store) for bank in _distinct_banks(layers)
        ),
        table_bytes=sum(f.index.size * entry_bytes + f.n * FLOAT_BYTES for f in layers),
        dense_bytes=compiled.dense_bytes,
        graph_bytes=BYTES_PER_NODE * len(compiled.model.graph.node) + PROVENANCE_BYTES,
    )


def limit_bytes(budget: StoredBytes) -> int:
    """Return the largest file that passes: the margin is on the weights alone."""
    return budget.total_bytes + int(SIZE_MARGIN_RATIO * (budget.total_bytes - budget.graph_bytes))


def check_operators(
    model: onnx.ModelProto, target: Target, homes: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Every operator is standard and on the list of the target.

    Nodes that only read constants need not be: ONNX Runtime folds them when it loads the file.

    Args:
        model: The finished graph.
        target: What it is for.
        homes: The module that each node of the user's network comes from, by the node's name.

    Raises:
        UsageError: An operator of the network is not on the list; module and node are named.
        InvariantBroken: An operator of a lowered Lego layer is not.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        folded = constants.issuperset(filter(None, node.input)) and node.op_type in FOLDED_OPS
        if node.domain not in ("", "ai.onnx") or not (folded or node.op_type in target.allowed_ops):
            raise _outside(node, target, homes)
        if folded:
            constants.update(node.output)


def _outside(
    node: onnx.NodeProto, target: Target, homes: Mapping[str, str]
) -> InvariantBroken | UsageError:
    kind = UsageError if owner(node.name) is None else InvariantBroken
    home = homes.get(node.name)
    where = f" of module {home}" if home else ""
    return kind(
        f"node {node.name}{where} is outside what target {target.name} takes",
        received=f"{node.domain or 'ai.onnx'}::{node.op_type}",
        legal="an operator that this target runs; legoexport targets --json lists them",
        next_step="compute it outside of the network"
        if target.name == CPU.name or node.op_type not in CPU.allowed_ops
        else f"take target {CPU.name}, which runs it",
    )


def check_banks_stored_once(compiled: Compiled) -> None:
    """No Lego filter is stored a second time, whole or inside an expanded weight.

    Raises:
        InvariantBroken: One is stored twice, or not in the way that was asked for; the layer and
            the initializer are named.
    """
    stored = {name: _filters(array) for name, array in _weights(compiled.model.graph).items()}
    plain = {tensor.name for tensor in compiled.model.graph.initializer}
    for layer in compiled.layers:
        own = _filters(layer.frozen.lego)
        holders = {name: count for name, rows in stored.items() if (count := _common(own, rows))}
        if sum(holders.values()) > len(own):
            raise InvariantBroken(
                f"layer {layer.layer}: its Lego bank is stored more than once",
                received=", ".join(f"{name} ({count} filters)" for name, count in holders.items()),
                legal=f"{len(own)} filters in one initializer",
            )
        unencoded = sorted(plain.intersection(holders))
        if unencoded and is_encoded(layer.frozen.lego.shape, compiled.store):
            raise InvariantBroken(
                f"layer {layer.layer}: its Lego bank is stored as fp32",
                received=", ".join(unencoded),
                legal=compiled.store,
            )


def check_size(
    size_bytes: int,
    compiled: Compiled,
    max_size_bytes: int | None,
    class_names: Sequence[str] = (),
) -> None:
    """The file holds banks, tables, dense layers, names of classes, and next to nothing else.

    Raises:
        InvariantBroken: It is larger than its budget, or than the user's own limit.
    """
    budget = size_budget(compiled)
    names_bytes = len(json.dumps(class_names)) if class_names else 0
    largest_bytes = limit_bytes(budget) + names_bytes
    if size_bytes > largest_bytes:
        raise InvariantBroken(
            "the file is larger than what it has to store",
            received=f"{size_bytes} bytes",
            legal=f"at most {largest_bytes} bytes: {budget}",
        )
    if max_size_bytes is not None and size_bytes > max_size_bytes:
        raise InvariantBroken(
            "the file is larger than --max-size",
            received=f"{size_bytes} bytes",
            legal=f"at most {max_size_bytes} bytes",
            next_step="train with a larger o or a smaller m",
        )


def check_loads(model_bytes: bytes) -> None:
    """ONNX Runtime accepts the file.

    Raises:
        InvariantBroken: It does not. Its own message is passed on.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        onnxruntime.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InvariantBroken(
            "onnxruntime does not load the converted model", received=error
        ) from error


def _weights(graph: onnx.GraphProto) -> dict[str, NDArray[np.generic]]:
    """Return what the file holds by name, codes decoded to the weights that they stand for."""
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for name in [one for one in held if one.endswith(codes_name(""))]:
        weight = name.removesuffix(codes_name(""))
        scale = held.get(scale_name(weight))
        if scale is not None and scale.shape[0] == scale.size:
            held[weight] = Encoded(held[name], scale.reshape(-1).astype(np.float32)).decode()
    return held


def _distinct_banks(layers: Sequence[FrozenLego]) -> list[NDArray[np.floating]]:
    return list({(f.lego.shape, f.lego.tobytes()): f.lego for f in layers}.values())


def _filters(array: NDArray[np.generic]) -> list[bytes]:
    """Return each non-zero filter of ``array``; zeros look alike in every layer."""
    if array.ndim < 2 or array.dtype != np.float32:  # noqa: PLR2004
        return []
    shape = str(array.shape[1:]).encode()
    return [shape + row.tobytes() for row in array if row.any()]


def _common(own: Sequence[bytes], rows: Sequence[bytes]) -> int:
    members = set(own)
    return sum(row in members for row in rows)

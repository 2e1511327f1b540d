"""Compare what stands around the nodes of two models: values, opsets, fields and metadata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx
from google.protobuf.message import Message

from legoexport.lego.file_facts import PREFIX
from legoexport.lego.names import owner
from legoexport.parity.compare_tensors import type_name
from legoexport.parity.difference import ABSENT, Difference, around, keyed, paired, shortened

# What is compared by itself, or computes nothing.
MODEL_FIELDS = ("graph", "metadata_props", "opset_import", "doc_string")
GRAPH_FIELDS = (
    "node",
    "initializer",
    "input",
    "output",
    "value_info",
    "metadata_props",
    "doc_string",
)


def value_differences(expected: onnx.GraphProto, received: onnx.GraphProto) -> Iterator[Difference]:
    """Yield inputs, outputs and inferred types that differ.

    Types that another tool inferred in addition are no difference.
    """
    for field in ("input", "output"):
        sides = [
            ", ".join(f"{one.name} {type_text(one)}" for one in getattr(graph, field))
            for graph in (expected, received)
        ]
        if sides[0] != sides[1]:
            yield Difference("graph", f"{field}s", None, *around(*sides))
    inferred = {one.name: type_text(one) for one in received.value_info}
    for one in expected.value_info:
        texts = type_text(one), inferred.get(one.name, ABSENT)
        if texts[0] != texts[1]:
            maker = owner(one.name)
            layer = maker.layer if maker else None
            yield Difference("graph", f"type of value {one.name}", layer, *around(*texts))


def model_differences(expected: onnx.ModelProto, received: onnx.ModelProto) -> Iterator[Difference]:
    """Yield opsets, the IR version and whatever other field of the format differs."""
    opsets = [
        ", ".join(sorted(f"{one.domain or 'ai.onnx'} {one.version}" for one in model.opset_import))
        for model in (expected, received)
    ]
    if opsets[0] != opsets[1]:
        yield Difference("graph", "opsets", None, *around(*opsets))
    yield from _fields("model", expected, received, MODEL_FIELDS)
    yield from _fields("graph", expected.graph, received.graph, GRAPH_FIELDS)


def metadata_differences(
    expected: onnx.ModelProto, received: onnx.ModelProto
) -> Iterator[Difference]:
    """Yield entries of legoexport's own metadata that differ."""
    sides = [
        keyed((one.key, one.value) for one in model.metadata_props if one.key.startswith(PREFIX))
        for model in (expected, received)
    ]
    for key, *texts in paired(*sides):
        if texts[0] != texts[1]:
            yield Difference("metadata", key, None, *around(*texts))


def type_text(value: onnx.ValueInfoProto) -> str:
    """Return such as ``float32[batch, 3, 8, 8]``."""
    if value.type.WhichOneof("value") != "tensor_type":
        return shortened(value.type)
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return f"{type_name(tensor.elem_type)} of unknown shape"
    sizes = [getattr(one, one.WhichOneof("value") or "", "?") for one in tensor.shape.dim]
    return f"{type_name(tensor.elem_type)}[{', '.join(map(str, sizes))}]"


def _fields(
    part: str, expected: Message, received: Message, compared: Sequence[str]
) -> Iterator[Difference]:
    for field in expected.DESCRIPTOR.fields:
        sides = [getattr(one, field.name) for one in (expected, received)]
        if field.name not in compared and sides[0] != sides[1]:
            texts = around(*(str(one) for one in sides))
            yield Difference("graph", f"{part}.{field.name}", None, *texts)

"""Compare two nodes by operator, edges and attributes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import onnx
from onnx import helper

from legoexport.parity.compare_tensors import tensor_difference
from legoexport.parity.difference import ABSENT, around, keyed, paired


class NodeDifference(NamedTuple):
    """What differs between two nodes, and both sides of it."""

    aspect: str
    expected: str
    received: str


def node_differences(
    expected: onnx.NodeProto, received: onnx.NodeProto
) -> Iterator[NodeDifference]:
    """Yield what differs; doc strings and metadata of nodes compute nothing."""
    operators = [
        ".".join(filter(None, (one.domain, one.op_type, one.overload)))
        for one in (expected, received)
    ]
    if operators[0] != operators[1]:
        yield NodeDifference("operator", *around(*operators))
    yield from _edges("input", expected.input, received.input)
    yield from _edges("output", expected.output, received.output)
    sides = [keyed((one.name, one) for one in node.attribute) for node in (expected, received)]
    for name, *attributes in paired(*sides):
        yield from _attribute(name, *attributes)


def _edges(kind: str, expected: Sequence[str], received: Sequence[str]) -> Iterator[NodeDifference]:
    for position, names in enumerate(zip_longest(expected, received, fillvalue=ABSENT)):
        if names[0] != names[1]:
            yield NodeDifference(f"{kind} {position}", *around(*names))


def _attribute(
    name: str, expected: onnx.AttributeProto | None, received: onnx.AttributeProto | None
) -> Iterator[NodeDifference]:
    aspect = f"attribute {name}"
    if expected is None or received is None:
        yield NodeDifference(aspect, *around(_text(expected), _text(received)))
    elif expected.type == received.type == onnx.AttributeProto.TENSOR:
        if difference := tensor_difference(expected.t, received.t):
            part, *texts = difference
            yield NodeDifference(f"{aspect} {part}", *texts)
    elif _bits(expected) != _bits(received):
        yield NodeDifference(aspect, *around(_text(expected), _text(received)))


def _bits(attribute: onnx.AttributeProto) -> bytes:
    """Return all of an attribute but its doc string."""
    plain = onnx.AttributeProto()
    plain.CopyFrom(attribute)
    plain.ClearField("doc_string")
    return bytes(plain.SerializeToString(deterministic=True))


def _text(attribute: onnx.AttributeProto | None) -> str | None:
    if attribute is None:
        return None
    try:
        value = helper.get_attribute_value(attribute)
    except ValueError:
        return f"a value of the unknown type {attribute.type}"
    if isinstance(value, onnx.GraphProto):
        return f"a graph of {value.ByteSize()} bytes"
    return f"{value!r}"

"""Compare what no version changes: a file in int8 of other versions with what its checkpoint gives.

Other versions may name, order and fold otherwise, so nodes and tensors may be missing or new. Where
both files have one of the same name and shape, it is the same but for rounding. That finds what the
integers of a few images do not show: a weight that meets zeros only, dense layers in float, and
what the kernels for integers never read, such as the scale of a bias. Inside of Lego layers, names
mean what the version of a lowering makes of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import numpy_helper

from legoexport.compile.read_scales import read_scales
from legoexport.compile.stamp import read_stamp
from legoexport.lego.file_facts import PREFIX
from legoexport.lego.names import owner
from legoexport.parity.compare_nodes import node_differences
from legoexport.parity.compare_tensors import tensor_difference
from legoexport.parity.difference import Difference, shortened

SCALES = "scales_sha256"
# Other versions may add floats in another order. An int32 is a bias in small units, or an index,
# which is too small for this to allow anything.
ROUNDING = 2.0**-20
DEQUANTIZE = "DequantizeLinear"
EXACT = ("int8", "uint8", "int64", "bool")


def compare_across_versions(
    expected: onnx.ModelProto, received: onnx.ModelProto
) -> tuple[Difference, ...]:
    """Return what differs in tensors and nodes that both have, and in the scales of activations."""
    return (
        *_scales(received),
        *_tensors(expected.graph, received.graph),
        *_nodes(expected.graph, received.graph),
    )


def _scales(received: onnx.ModelProto) -> Iterator[Difference]:
    """No checkpoint gives them: they are held to the digest that calibration left."""
    digest, recorded = read_scales(received).sha256(), read_stamp(received).get(SCALES, "")
    if digest != recorded:
        texts = shortened(digest), shortened(recorded)
        yield Difference("metadata", f"{PREFIX}{SCALES}", None, *texts)


def _tensors(expected: onnx.GraphProto, received: onnx.GraphProto) -> Iterator[Difference]:
    stored = _stored(received)
    for one in expected.initializer:
        found = None if owner(one.name) else _difference(one, stored.get(one.name))
        if found is not None:
            part, *texts = found
            yield Difference("tensor", f"{one.name} {part}", None, *texts)


def _stored(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    return {one.name: one for one in graph.initializer}


def _difference(
    expected: onnx.TensorProto | None, received: onnx.TensorProto | None
) -> tuple[str, str, str] | None:
    """Return what differs, with both sides of it, between two tensors of one type and shape."""
    if expected is None or received is None:
        return None
    if (expected.data_type, expected.dims) != (received.data_type, received.dims):
        return None
    found = tensor_difference(expected, received)
    return None if found is None or _is_rounding(expected, received) else found


def _is_rounding(expected: onnx.TensorProto, received: onnx.TensorProto) -> bool:
    array, other = numpy_helper.to_array(expected), numpy_helper.to_array(received)
    if str(array.dtype) in EXACT:
        return False
    size = np.abs(array.astype(np.float64))
    allowed = ROUNDING * (size.max(initial=0.0) if array.dtype.kind == "f" else size)
    return bool((np.abs(other.astype(np.float64) - array) <= allowed).all())


def _nodes(expected: onnx.GraphProto, received: onnx.GraphProto) -> Iterator[Difference]:
    """Compare attributes, and the tensors that a node reads, whatever they are called."""
    sides = _stored(expected), _stored(received)
    nodes = {node.name: node for node in received.node if node.name}
    for node in expected.node:
        other = nodes.get(node.name)
        if other is None or other.op_type != node.op_type:
            continue
        if owner(node.name) and node.op_type != DEQUANTIZE:
            continue
        for aspect, *texts in node_differences(node, other):
            if aspect.startswith("attribute"):
                yield Difference("node", f"{node.name} {aspect}", None, *texts)
        for position, names in enumerate(zip(node.input, other.input, strict=False)):
            read = [stored.get(name) for stored, name in zip(sides, names, strict=True)]
            if names[0] != names[1] and _difference(*read) is not None:
                yield Difference("node", f"{node.name} input {position}", None, *names)

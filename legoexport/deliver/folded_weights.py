"""Which initializers of a folded file hold what the converted file computes from its constants."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import numpy_helper

from legoexport.ort.constant_values import constant_values
from legoexport.passes.rebuild_weights import names_taken, nodes_behind

# A node with its names and its shape takes about this much: less is found by its name alone, for
# many constants are as short as that and equal by chance.
LEAST_BYTES = 512
OTHER_NUMBERS = "other numbers"
NAMES_TAKEN = "the names of its nodes are taken"

Content = tuple[str, tuple[int, ...], bytes]


@dataclass(frozen=True)
class FoldedWeights:
    """What was found.

    Attributes:
        values: The value of the converted file that each initializer holds to the bit.
        left: Why initializers stay as they are that the converted file computes under their name,
            or that hold what it computes.
    """

    values: Mapping[str, str]
    left: Mapping[str, str]


def find_folded(folded: onnx.ModelProto, like: onnx.ModelProto) -> FoldedWeights:
    """Compare every initializer of ``folded`` with what ``like`` computes and with what it stores.

    The name decides where ``like`` computes a value of that name; else the content does.

    Raises:
        UsageError: ONNX Runtime does not compute the constants of ``like``.
    """
    computed = {name: content_of(array) for name, array in constant_values(like).items()}
    stored = {content_of(numpy_helper.to_array(one)) for one in like.graph.initializer}
    holders = {content: name for name, content in reversed(computed.items())}
    values, left = {}, {}
    for tensor in _inner(folded.graph):
        array = numpy_helper.to_array(tensor)
        content = content_of(array)
        if tensor.name in computed and computed[tensor.name] != content:
            left[tensor.name] = OTHER_NUMBERS
        elif tensor.name in computed:
            values[tensor.name] = tensor.name
        elif content in holders and content not in stored and array.nbytes >= LEAST_BYTES:
            values[tensor.name] = holders[content]
    free = _free(ir.from_proto(like).graph, ir.from_proto(folded).graph, values)
    taken = {name: NAMES_TAKEN for name in values if name not in free}
    return FoldedWeights(free, left | taken)


def content_of(array: NDArray[Any]) -> Content:
    """Return what is equal for two arrays if all of their bits are."""
    digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()
    return str(array.dtype), array.shape, digest


def _inner(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Yield the initializers that nobody feeds and that are no outputs."""
    ends = {value.name for value in (*graph.input, *graph.output)}
    return (tensor for tensor in graph.initializer if tensor.name not in ends)


def _free(source: ir.Graph, graph: ir.Graph, values: Mapping[str, str]) -> Mapping[str, str]:
    """Return those whose nodes and constants find their names free in ``graph``."""
    if not names_taken(nodes_behind(source, values.values()), graph, values):
        return values
    return {
        name: value
        for name, value in values.items()
        if not names_taken(nodes_behind(source, [value]), graph, values)
    }

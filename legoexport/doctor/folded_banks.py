"""Banks that another tool has folded: a layer then holds the weights that come of its bank."""

from __future__ import annotations

from math import prod

import onnx

from legoexport.errors import UsageError
from legoexport.lego.layer_records import LayerRecord, stated_layers
from legoexport.lego.names import owner

INDICES = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
# What a layer holds beside bank and tables: transforms of Winograd, where sums start, scales.
OTHER_NUMBERS = 512
# Less is not worth a word.
LEAST_GROWTH_RATIO = 1.2


def folded_nodes(model: onnx.ModelProto) -> list[str]:
    """Return nodes of layers that read more numbers than a bank and its tables have.

    They are found by their names, which tools keep; a layer that holds no more folded than before,
    as that of a bank which is one weight, is not found.
    """
    layers = told_layers(model)
    sizes = {
        tensor.name: prod(tensor.dims)
        for tensor in model.graph.initializer
        if tensor.data_type not in INDICES
    }
    readers: dict[str, dict[str, str]] = {one.layer: {} for one in layers}
    for node in model.graph.node:
        if (found := owner(node.name)) and found.layer in readers:
            read = readers[found.layer]
            read |= {name: node.name for name in node.input if name in sizes}
    return [
        _largest(read, sizes)
        for one, read in zip(layers, readers.values(), strict=True)
        if sum(map(sizes.__getitem__, read)) > _most_numbers(one)
    ]


def told_layers(model: onnx.ModelProto) -> tuple[LayerRecord, ...]:
    """Return the Lego layers that a file names; none if it names none that can be read."""
    try:
        return stated_layers(model) or ()
    except UsageError:
        return ()  # verify says what is wrong with the metadata


def _most_numbers(layer: LayerRecord) -> float:
    """Return how many numbers the file of ``convert`` holds at most for a layer, and a margin."""
    shape = layer.shape
    tables = shape.o * shape.n + shape.n
    return LEAST_GROWTH_RATIO * (shape.m * shape.filter_weights + tables + OTHER_NUMBERS)


def _largest(read: dict[str, str], sizes: dict[str, int]) -> str:
    """Return the node that reads the largest of the initializers."""
    return read[max(read, key=sizes.__getitem__)]

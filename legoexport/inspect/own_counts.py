"""How many numbers of each stored tensor are the network's own.

A convolution of integers may read channels of zeros beside those of the network, and holds codes of
0 for them. They are in the file, so its bytes count them, and belong to no network.
"""

from __future__ import annotations

from math import prod

import onnx
from onnx import numpy_helper

from legoexport.passes.fill_input_channels import is_filling

CHANNEL_AXIS = 1


def own_counts(graph: onnx.GraphProto) -> dict[str, int]:
    """Count the numbers of each stored tensor, without those that fill up input channels."""
    stored = {one.name: one for one in graph.initializer}
    readers = {node.input[0]: node for node in graph.node if node.input}
    makers = {name: node for node in graph.node for name in node.output}
    counts = {name: prod(one.dims) for name, one in stored.items()}
    for pad in (one for one in graph.node if is_filling(one.name, one.op_type)):
        try:  # Pad -> DequantizeLinear -> Conv <- DequantizeLinear <- codes
            conv = readers[readers[pad.output[0]].output[0]]
            codes = stored[makers[conv.input[1]].input[0]]
            before, after = numpy_helper.to_array(stored[pad.input[1]]).reshape(2, -1)
        except (KeyError, IndexError, ValueError):  # another tool has changed the file
            continue
        added = int((before + after)[CHANNEL_AXIS])
        counts[codes.name] -= counts[codes.name] // codes.dims[CHANNEL_AXIS] * added
    return counts

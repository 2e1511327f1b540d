"""Read from a file which integers it computes in: all that calibration gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from legoexport.errors import UsageError
from legoexport.lego.names import dequantized_name, owner, part_name, quantized_name
from legoexport.lego.scales import LIMITS, Affine, Scales
from legoexport.passes.take_pixels import NORMALIZED

Constants = Mapping[str, NDArray[Any]]


def read_scales(model: onnx.ModelProto) -> Scales:
    """Return the scales of a file that computes in int8.

    Lego layers without intermediate maps have no scales of them.

    Raises:
        UsageError: A scale or a zero point is missing, or cannot be one.
    """
    constants = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    named = ((_activation(node), node) for node in model.graph.node)
    activations = {name: _affine(node, constants) for name, node in named if name is not None}
    found = (_map_scales(node, constants) for node in model.graph.node)
    return Scales(activations, dict(one for one in found if one is not None))


def _activation(node: onnx.NodeProto) -> str | None:
    """Return the activation whose integers ``node`` makes, or takes as pixels are."""
    if node.op_type == "QuantizeLinear" and owner(node.name) is None:
        return str(node.output[0]).removesuffix(quantized_name(""))
    reads_pixels = node.op_type == "DequantizeLinear" and node.name == dequantized_name(NORMALIZED)
    return NORMALIZED if reads_pixels else None


def _map_scales(
    node: onnx.NodeProto, constants: Constants
) -> tuple[str, NDArray[np.float32]] | None:
    """Return layer and scales, if ``node`` is the first one that chooses from them."""
    found = owner(node.name)
    if found is None or node.input[0] not in constants:
        return None
    first = {part_name(found.layer, "weights", name) for name in ("scale", "scale_0")}
    is_first = node.op_type == "Gather" and node.name in first
    return (found.layer, constants[node.input[0]]) if is_first else None


def _affine(node: onnx.NodeProto, constants: Constants) -> Affine:
    found = [constants.get(name) for name in node.input[1:3]]
    scale, zero = (*found, None, None)[:2]
    types = [dtype for dtype in LIMITS if zero is not None and zero.dtype == dtype]
    if scale is None or zero is None or scale.size != 1 or zero.size != 1 or not types:
        raise UsageError(
            f"node {node.name}: its scale and its zero point must be stored numbers",
            received=", ".join(node.input[1:3]),
            next_step="convert the checkpoint again",
        )
    try:
        return Affine(float(scale.reshape(())), int(zero.reshape(())), types[0])
    except UsageError as error:
        raise UsageError(f"{' and '.join(node.input[1:3])}: {error}") from None

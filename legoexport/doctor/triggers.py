"""Triggers: what in a model sets off a known case; each returns the names of the nodes that do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import onnx

from legoexport.doctor.folded_banks import folded_nodes, told_layers
from legoexport.doctor.model import WEIGHT_INPUT, Convolution, FoldedModel, same

Trigger = Callable[[FoldedModel], Sequence[str]]

# KleidiAI's convolution takes kernels from 3x3 on, one image, and each group by itself if it has
# more than one filter: 1.24.1 errs on groups that start alike (runtimes/test_arm64_known_bad.py).
SME_KERNEL = 3
# Numbers of a weight that the key of its cache looks at.
HASHED_COUNT = 16
# Integers, scale and zero point.
QDQ_INPUTS = 3
# Floats of the buffer of zeros if the first convolution needs no more.
ZEROS_COUNT = 256
# The largest integer of a weight whose products with uint8 fit into 16 bits by pairs.
PAIRED_CODE = 64
INDICES_INPUT = 1
# What the names of these lowerings begin with.
WINOGRAD = "winograd_"
STANDARD_DOMAINS = ("", "ai.onnx")


def convolutions_that_start_alike(model: FoldedModel) -> list[str]:
    """SME convolutions of one shape whose first weights are equal and whose others are not."""
    pairs = combinations(_sme_convolutions(model), 2)
    return sorted({one.name for pair in pairs if _collide(*pair) for one in pair})


def padded_convolutions_that_widen(model: FoldedModel) -> list[str]:
    """Padded SME convolutions with more channels than the buffer of the first one has zeros."""
    padded = [one for one in _sme_convolutions(model) if any(one.pads)]
    if not padded:
        return []
    zeros_count = max(ZEROS_COUNT, -(-padded[0].channels // ZEROS_COUNT) * ZEROS_COUNT)
    return sorted({one.name for one in padded if one.channels > zeros_count})


def convolutions_padded_unequally(model: FoldedModel) -> list[str]:
    """Convolutions from 3x3 on, in one group, padded otherwise along height than along width."""
    return [
        one.name
        for one in model.convolutions
        if one.group == 1
        and min(one.kernel) >= SME_KERNEL
        and one.pads[:2] == one.pads[2:]
        and one.pads[0] != one.pads[1]
    ]


def convolutions_padded_on_one_side(model: FoldedModel) -> list[str]:
    """Convolutions with another padding before than after."""
    return [one.name for one in model.convolutions if one.pads[:2] != one.pads[2:]]


def dilated_groups(model: FoldedModel) -> list[str]:
    """Dilated convolutions in groups of more than one channel."""
    return [
        one.name
        for one in model.convolutions
        if one.group > 1 and one.channels > 1 and set(one.dilations) != {1}
    ]


def half_convolutions(model: FoldedModel) -> list[str]:
    """Convolutions with weights in half precision, before an onnxruntime here casts them."""
    half = set(half_values(model))
    nodes = model.stamped.graph.node
    return [node.name for node in nodes if node.op_type == "Conv" and half.intersection(node.input)]


def half_values(model: FoldedModel) -> list[str]:
    """Inputs, outputs and weights in half precision; codes that are cast at load are no weights."""
    half, graph = onnx.TensorProto.FLOAT16, model.stamped.graph
    ends = (*graph.input, *graph.output)
    named = [value.name for value in ends if value.type.tensor_type.elem_type == half]
    computed = {name for node in graph.node if node.op_type != "Cast" for name in node.input}
    halves = [tensor.name for tensor in graph.initializer if tensor.data_type == half]
    return named + [name for name in halves if name in computed]


def stored_halves(model: FoldedModel) -> list[str]:
    """Initializers in half precision, also those that are cast when a session is made."""
    half = onnx.TensorProto.FLOAT16
    return [one.name for one in model.stamped.graph.initializer if one.data_type == half]


def codes_beyond_pairs(model: FoldedModel) -> list[str]:
    """Weights in int8 beyond 64; a single row of them is none."""
    codes = {name: value for name, value in model.constants.items() if value.dtype == np.int8}
    return [
        node.name or node.output[0]
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
        and (weight := codes.get(node.input[0])) is not None
        and weight.ndim > 1
        and np.abs(weight.astype(np.int16)).max(initial=0) > PAIRED_CODE
    ]


def reshapes_of_signed_integers(model: FoldedModel) -> list[str]:
    """Reshapes of what DequantizeLinear made of int8 without saying so by a zero point."""
    graph = model.stamped.graph
    plain = {
        node.output[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and len([*filter(None, node.input)]) < QDQ_INPUTS
    }
    reshapes = (node for node in graph.node if node.op_type == "Reshape")
    return [node.name or node.output[0] for node in reshapes if node.input[0] in plain]


def matrix_products(model: FoldedModel) -> list[str]:
    """Products of matrices."""
    return model.nodes("Gemm", "MatMul")


def gathers(model: FoldedModel) -> list[str]:
    """Gathers of maps: those of weights are folded."""
    return model.nodes("Gather")


def gathers_by_computed_indices(model: FoldedModel) -> list[str]:
    """Gathers whose indices are computed when the file is loaded."""
    return _computed_inputs(model, "Gather", INDICES_INPUT)


def convolutions_by_computed_weights(model: FoldedModel) -> list[str]:
    """Convolutions whose weights are computed when the file is loaded."""
    return _computed_inputs(model, "Conv", WEIGHT_INPUT)


def products_that_share_a_matrix(model: FoldedModel) -> list[str]:
    """Products that have the same constant on their left as one before them."""
    stored = {tensor.name for tensor in model.stamped.graph.initializer}
    seen: set[str] = set()
    sharing = []
    for node in model.stamped.graph.node:
        if node.op_type == "MatMul" and (matrix := node.input[0]) in stored:
            sharing += [node.name] if matrix in seen else []
            seen.add(matrix)
    return sharing


def winograd_layers(model: FoldedModel) -> list[str]:
    """Lego layers that are computed in a form of Winograd."""
    layers = told_layers(model.stamped)
    return [one.layer for one in layers if one.lowering.startswith(WINOGRAD)]


def fused_operators(model: FoldedModel) -> list[str]:
    """Operators outside the standard."""
    return [node.name for node in model.graph.node if node.domain not in STANDARD_DOMAINS]


def folded_banks(model: FoldedModel) -> list[str]:
    """Nodes of Lego layers that read what another tool has made of the bank."""
    return folded_nodes(model.stamped)


def open_batch(model: FoldedModel) -> list[str]:
    """Inputs, where the batch is open."""
    return [value.name for value in model.graph.input] if model.has_open_batch else []


def any_model(model: FoldedModel) -> list[str]:
    """Every model."""
    return [model.graph.name or "model"]


def _computed_inputs(model: FoldedModel, op_type: str, position: int) -> list[str]:
    """Nodes of the file as it is whose input there is what another node computes."""
    nodes = model.stamped.graph.node
    computed = {name for node in nodes for name in node.output}
    return [
        node.name for node in nodes if node.op_type == op_type and node.input[position] in computed
    ]


def _sme_convolutions(model: FoldedModel) -> list[Convolution]:
    if not model.may_run_one_image:
        return []
    return [
        one
        for convolution in model.convolutions
        for one in _groups(convolution)
        if len(set(one.pads)) == 1 and min(one.kernel) >= SME_KERNEL and one.weight.shape[0] > 1
    ]


def _groups(convolution: Convolution) -> list[Convolution]:
    count = convolution.group
    weights = np.split(convolution.weight, count)
    bias = convolution.bias
    biases = [None] * count if bias is None else np.split(bias, count)
    return [
        replace(convolution, weight=weight, bias=part, group=1)
        for weight, part in zip(weights, biases, strict=True)
    ]


def _collide(first: Convolution, second: Convolution) -> bool:
    if first.weight.shape != second.weight.shape or first.dilations != second.dilations:
        return False
    if not same(*(one.weight.ravel()[:HASHED_COUNT] for one in (first, second))):
        return False
    return not (same(first.weight, second.weight) and same(first.bias, second.bias))


TRIGGERS: Mapping[str, Trigger] = {
    trigger.__name__: trigger
    for trigger in (
        convolutions_that_start_alike,
        padded_convolutions_that_widen,
        convolutions_padded_unequally,
        convolutions_padded_on_one_side,
        dilated_groups,
        half_convolutions,
        half_values,
        stored_halves,
        codes_beyond_pairs,
        reshapes_of_signed_integers,
        matrix_products,
        gathers,
        gathers_by_computed_indices,
        convolutions_by_computed_weights,
        products_that_share_a_matrix,
        winograd_layers,
        fused_operators,
        folded_banks,
        open_batch,
        any_model,
    )
}

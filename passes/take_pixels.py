"""Let a network take pixels as a decoder gives them, and normalise them inside.

    image uint8 (b, h, w, c)  ->  Transpose -> Cast -> Sub(mean) -> Div(std)  ->  input (b, c, h, w)

with mean and std in grey levels, rounded to float32 as training has them. A convolution is linear,
so one that alone reads the result takes the division into its weights, channel by channel:

    sum_c W[n, c] * ((x[c] - mean[c]) / std[c])  =  sum_c (W[n, c] / std[c]) * (x[c] - mean[c])

Padded zeros stay zeros under a division. They do not under a subtraction, which would need pixels
of exactly ``mean[c]`` around the picture, and an operator pads all channels alike. So the mean goes
into the bias, ``b[n] - sum_c W[n, c] * mean[c] / std[c]``, only where nothing is padded. Computed
in float64, stored in float32.

In integers, a QuantizeLinear that rounds every pixel to itself leaves nothing to do:

    image  ->  Transpose  ->  the integers of the input
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from legoexport.lego.normalization import Normalization
from legoexport.lego.pixel_integers import are_pixels
from legoexport.lego.scales import Affine
from legoexport.passes.constants import (
    add_constant,
    constant_array,
    input_of,
    known_array,
    set_constant,
)

IMAGE, NORMALIZED = "image", "input"
TRANSPOSE, CAST = f"{IMAGE}/transpose", f"{IMAGE}/cast"
TO_CHANNELS_FIRST = (0, 3, 1, 2)
BIAS = 2
Array = NDArray[np.float64]


class TakePixels(ir.passes.InPlacePass):
    """Put a uint8 image in the place of the only input, and what normalises it behind it.

    Declines to fold into anything but one Conv of constant weights without groups; nodes for the
    division and the subtraction stay then. ``remark`` says what became of them.

    Args:
        normalization: Of the pictures in training, one number a channel.
        folds: Whether weights may change; they may not where they are stored as codes.
    """

    def __init__(self, normalization: Normalization, *, folds: bool = True) -> None:
        super().__init__()
        self.normalization = normalization
        self.folds = folds
        self.remark = ""

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite in place."""
        graph = model.graph
        (x,) = graph.inputs
        quantize = _only_quantize(x)
        if quantize is not None and self._keeps_pixels(quantize):
            self.remark = "its pixels are the integers of the input"
            _take_as_integers(x, quantize, graph)
            return ir.passes.PassResult(model, modified=True)
        mean, std = (one.reshape(1, -1, 1, 1) for one in self.normalization.grey_levels)
        conv = _only_conv(x) if self.folds else None
        nodes = _decoded(x)
        shifts = conv is None or _pads(conv)
        if conv is not None:
            _fold(conv, mean, std, shifts=shifts)
        if shifts:
            nodes.append(_arithmetic("Sub", nodes[-1], "mean", mean, graph))
        if conv is None:
            nodes.append(_arithmetic("Div", nodes[-1], "std", std, graph))
        self.remark = _remark(conv, shifts=shifts) if conv else _why_not(quantize)
        _replace(x, nodes, graph)
        return ir.passes.PassResult(model, modified=True)

    def _keeps_pixels(self, quantize: ir.Node) -> bool:
        """Whether normalised pixels are rounded to themselves."""
        scale, zero = (known_array(one) for one in quantize.inputs[1:])
        if zero.dtype != np.uint8:
            return False
        return are_pixels(self.normalization, Affine(float(scale), int(zero), "uint8"))


def _only_quantize(x: ir.Value) -> ir.Node | None:
    """Return the node that alone reads ``x``, if it rounds it to integers."""
    readers = [use.node for use in x.uses()]
    is_only = len(readers) == 1 and readers[0].op_type == "QuantizeLinear"
    return readers[0] if is_only else None


def _take_as_integers(x: ir.Value, quantize: ir.Node, graph: ir.Graph) -> None:
    """Let all that reads the integers read the pixels, channels first, under their name."""
    moved, _ = _decoded(x)
    (integers,), (pixels,) = quantize.outputs, moved.outputs
    name = str(integers.name)
    ir.convenience.replace_all_uses_with(integers, pixels)
    graph.remove(quantize, safe=True)
    integers.name, pixels.name = None, name
    graph.inputs[0] = input_of(moved, 0)
    graph.insert_before(graph[0], [moved])


def _only_conv(x: ir.Value) -> ir.Node | None:
    """Return the convolution that alone reads ``x``, if its weights can take a scale."""
    readers = [use.node for use in x.uses()]
    if len(readers) != 1 or (readers[0].domain, readers[0].op_type) != ("", "Conv"):
        return None
    (conv,) = readers
    constants = [constant_array(one) for one in conv.inputs[1:] if one is not None]
    known = all(one is not None for one in constants)
    return conv if known and conv.attributes.get_int("group", 1) == 1 else None


def _pads(conv: ir.Node) -> bool:
    pads = conv.attributes.get_ints("pads", ())
    return any(pads) or conv.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID")


def _fold(conv: ir.Node, mean: Array, std: Array, *, shifts: bool) -> None:
    """Divide the weights; without a subtraction before them, correct the bias too."""
    weight = np.asarray(constant_array(conv.inputs[1]), np.float64) / std
    name = str(input_of(conv, 1).name)
    set_constant(conv, 1, name, weight.astype(np.float32))
    if shifts:
        return
    has_bias = len(conv.inputs) > BIAS and conv.inputs[BIAS] is not None
    bias = np.asarray(constant_array(conv.inputs[BIAS]), np.float64) if has_bias else 0.0
    shifted = bias - (weight * mean).sum(axis=(1, 2, 3))
    set_constant(conv, BIAS, f"{name}/shifted_bias", shifted.astype(np.float32))


def _decoded(x: ir.Value) -> list[ir.Node]:
    """Return what makes float32 ``(b, c, h, w)`` of an image: bytes are moved, not floats."""
    if x.shape is None:
        raise ValueError(f"input {x.name} has no shape")
    batch, channels, height, width = x.shape
    image = ir.val(
        IMAGE,
        shape=ir.Shape([batch, height, width, channels]),
        type=ir.TensorType(ir.DataType.UINT8),
    )
    moved = ir.node("Transpose", [image], {"perm": TO_CHANNELS_FIRST}, name=TRANSPOSE)
    _describe(moved, x.shape, ir.DataType.UINT8)
    cast = ir.node("Cast", [moved.outputs[0]], {"to": int(ir.DataType.FLOAT)}, name=CAST)
    _describe(cast, x.shape, ir.DataType.FLOAT)
    return [moved, cast]


def _arithmetic(
    operator: str, before: ir.Node, name: str, number: Array, graph: ir.Graph
) -> ir.Node:
    made = before.outputs[0]
    constant = add_constant(f"{IMAGE}/{name}", number.astype(np.float32), graph)
    node = ir.node(operator, [made, constant], name=f"{IMAGE}/{operator.lower()}")
    _describe(node, made.shape, ir.DataType.FLOAT)
    return node


def _describe(node: ir.Node, shape: ir.Shape | None, dtype: ir.DataType) -> None:
    (made,) = node.outputs
    made.name, made.shape, made.type = str(node.name), shape, ir.TensorType(dtype)


def _replace(x: ir.Value, nodes: list[ir.Node], graph: ir.Graph) -> None:
    """Let all that reads ``x`` read the last of ``nodes``, under its name."""
    made, image = nodes[-1].outputs[0], input_of(nodes[0], 0)
    ir.convenience.replace_all_uses_with(x, made)
    graph.inputs[0] = image
    x.name, made.name = None, NORMALIZED
    graph.insert_before(graph[0], nodes)


def _why_not(quantize: ir.Node | None) -> str:
    """Say why neither weights nor integers take the normalization."""
    if quantize is not None and known_array(quantize.inputs[2]).dtype != np.uint8:
        return "two nodes normalise them before they are rounded, to integers with a sign"
    if quantize is not None:
        return (
            "two nodes normalise them before they are rounded, as integers have one scale and one"
            " zero point for all channels, and these differ in mean or std"
        )
    return "two nodes normalise them; no convolution whose weights may change reads them alone"


def _remark(conv: ir.Node, *, shifts: bool) -> str:
    weight = input_of(conv, 1).name
    if shifts:
        return f"{weight} divides by std; a node subtracts the mean, as zeros are padded after it"
    return f"{weight} and its bias normalise them"

"""Graphs of one quantized layer, written out by hand, and ONNX Runtime on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from legoexport.lego.frozen import FrozenLego
from legoexport.lego.scales import Affine
from legoexport.parity.integer.dense_layer import IntegerDense

OPSET = 17
# Kernels for processors of x86 without VNNI that do not add two products in 16 bits.
EXACT = {"session.x64quantprecision": "1"}
# On x86, signed activations are only computed in integers on request.
SIGNED = {"session.qdqisint8allowed": "1"}


@dataclass
class Draft:
    """A graph in the making."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, array: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def quantize(self, value: str, affine: Affine) -> str:
        """Return what the integers of ``value`` stand for; they are ``{value}_quantized``."""
        constants = [
            self.constant(f"{value}_scale", affine.scale_array),
            self.constant(f"{value}_zero_point", affine.zero_array),
        ]
        integers = self.node("QuantizeLinear", [value, *constants], f"{value}_quantized")
        return self.node("DequantizeLinear", [integers, *constants], f"{value}_numbers")

    def weight(self, name: str, codes: NDArray[Any], scale: NDArray[Any]) -> str:
        inputs = [
            self.constant(f"{name}_codes", codes),
            self.constant(f"{name}_scale", scale.astype(np.float32)),
            self.constant(f"{name}_zero_point", np.zeros(len(scale), codes.dtype)),
        ]
        return self.node("DequantizeLinear", inputs, name, axis=0)

    def rows(self, name: str, dense: IntegerDense, x: Affine) -> list[str]:
        """Return weight and bias of a layer that reads ``x``."""
        unit = np.float32(x.scale) * dense.scale
        bias = np.rint(dense.bias / unit.astype(np.float64)).astype(np.int32)
        return [
            self.weight(f"{name}_weight", dense.codes.astype(np.int8), dense.scale),
            self.weight(f"{name}_bias", bias, unit),
        ]

    def model(self, inputs: Mapping[str, tuple[int, ...]], outputs: list[str]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "layer",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])
                for name, shape in inputs.items()
            ],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            self.constants,
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9
        )


def conv_attributes(dense: IntegerDense) -> dict[str, Any]:
    assert dense.window is not None
    return {
        "kernel_shape": list(dense.codes.shape[2:]),
        "strides": list(dense.window.stride),
        "pads": [*dense.window.before, *dense.window.after],
        "dilations": list(dense.window.dilation),
        "group": dense.window.group,
    }


def dense_model(dense: IntegerDense, x: Affine, y: Affine, c: tuple[int, ...]) -> onnx.ModelProto:
    """A Conv, or a Gemm without a window, from ``x_quantized`` to ``y_quantized``."""
    draft = Draft()
    inputs = [draft.quantize("x", x), *draft.rows("layer", dense, x)]
    if dense.window is None:
        draft.node("Gemm", inputs, "y", transB=1)
    else:
        draft.node("Conv", inputs, "y", **conv_attributes(dense))
    numbers = draft.quantize("y", y)
    return draft.model({"x": c}, [numbers, "x_quantized", "y_quantized"])


def _geometry(frozen: FrozenLego) -> dict[str, Any]:
    return {
        "kernel_shape": list(frozen.kernel),
        "strides": list(frozen.stride),
        "pads": list(frozen.padding) * 2,
        "dilations": list(frozen.dilation),
    }


def bank_of(frozen: FrozenLego, largest: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes and scales of the bank, filter by filter."""
    scale = [np.float32(np.abs(one).max() / largest) for one in frozen.lego.astype(np.float64)]
    codes = [
        np.rint(one / float(s))
        for one, s in zip(frozen.lego.astype(np.float64), scale, strict=True)
    ]
    return np.array(codes, np.int8), np.array(scale, np.float32)


def split_model(
    frozen: FrozenLego,
    maps: NDArray[np.float32],
    affines: tuple[Affine, Affine],
    largest: int,
    size: tuple[int, int],
) -> onnx.ModelProto:
    """A Lego layer as a Conv a fragment and a 1x1 merge of all pairs, entry by entry."""
    x, y = affines
    between = Affine.of_range(-1, 1, x.dtype)
    codes, scale = bank_of(frozen, largest)
    draft = Draft()
    numbers = draft.quantize("x", x)
    pieces: list[str] = []
    pairs: dict[tuple[int, int], int] = {}
    for i in range(frozen.o):
        used = sorted(set(frozen.index[i].tolist()))
        first = len(pairs)
        pairs |= {(i, j): first + place for place, j in enumerate(used)}
        step = frozen.c // frozen.o
        bounds = [
            draft.constant(f"{what}_{i}", np.array([value], np.int64))
            for what, value in (("start", i * step), ("end", (i + 1) * step), ("axis", 1))
        ]
        piece = draft.node("Slice", ["x_quantized", *bounds], f"fragment_{i}")
        read = draft.node("DequantizeLinear", [piece, "x_scale", "x_zero_point"], f"numbers_{i}")
        weight = draft.weight(f"weight_{i}", codes[used], maps[first : first + len(used)])
        draft.node("Conv", [read, weight], f"maps_{i}", **_geometry(frozen))
        draft.quantize(f"maps_{i}", between)
        pieces.append(f"maps_{i}_quantized")
    whole = draft.node("Concat", pieces, "maps", axis=1)
    constants = ["maps_0_scale", "maps_0_zero_point"]
    inputs = [draft.node("DequantizeLinear", [whole, *constants], "maps_numbers")]
    merge = _merge(frozen, maps, scale, pairs, largest)
    draft.node("Conv", [*inputs, *draft.rows("merge", merge, between)], "y")
    numbers = draft.quantize("y", y)
    return draft.model({"x": (frozen.c, *size)}, [numbers, "x_quantized", "y_quantized"])


def _merge(
    frozen: FrozenLego,
    maps: NDArray[np.float32],
    scale: NDArray[np.float32],
    pairs: Mapping[tuple[int, int], int],
    largest: int,
) -> IntegerDense:
    step = Affine.of_range(-1, 1, "uint8").scale
    codes = np.zeros((frozen.n, len(pairs), 1, 1), np.int64)
    rows = np.zeros(frozen.n, np.float32)
    bias = np.zeros(frozen.n) if frozen.bias is None else frozen.bias.astype(np.float64)
    for n in range(frozen.n):
        k = {}
        for i in range(frozen.o):
            j = int(frozen.index[i, n])
            pair = pairs[i, j]
            k[pair] = float(frozen.coefficient[i, n]) * float(scale[j]) / float(maps[pair])
        least = abs(bias[n]) / (step * 2.0**30)
        rows[n] = np.float32(max(max(map(abs, k.values())) / largest, least))
        for pair, value in k.items():
            codes[n, pair, 0, 0] = np.rint(value / float(rows[n]))
    return IntegerDense(codes, rows, bias, None)


def assembled_model(
    frozen: FrozenLego, affines: tuple[Affine, Affine], largest: int, size: tuple[int, int]
) -> onnx.ModelProto:
    """A Lego layer as one Conv, its weight put together entry by entry."""
    x, y = affines
    bank, scale = bank_of(frozen, largest)
    step = frozen.c // frozen.o
    codes = np.zeros((frozen.n, frozen.c, *frozen.kernel), np.int64)
    rows = np.zeros(frozen.n, np.float32)
    bias = np.zeros(frozen.n) if frozen.bias is None else frozen.bias.astype(np.float64)
    for n in range(frozen.n):
        chosen = [(i, int(frozen.index[i, n])) for i in range(frozen.o)]
        unit = [float(frozen.coefficient[i, n]) * float(scale[j]) for i, j in chosen]
        top = [
            abs(u) * np.abs(bank[j].astype(int)).max()
            for u, (_, j) in zip(unit, chosen, strict=True)
        ]
        rows[n] = np.float32(max(max(top) / largest, abs(bias[n]) / (x.scale * 2.0**30)))
        for u, (i, j) in zip(unit, chosen, strict=True):
            numbers = bank[j].astype(np.float32) * np.float32(u / float(rows[n]))
            codes[n, i * step : (i + 1) * step] = np.clip(np.rint(numbers), -largest, largest)
    dense = IntegerDense(codes, rows, bias, None)
    draft = Draft()
    inputs = [draft.quantize("x", x), *draft.rows("layer", dense, x)]
    draft.node("Conv", inputs, "y", **_geometry(frozen))
    numbers = draft.quantize("y", y)
    return draft.model({"x": (frozen.c, *size)}, [numbers, "x_quantized", "y_quantized"])


def session_of(
    model: onnx.ModelProto, entries: Mapping[str, str], optimized: str = ""
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.optimized_model_filepath = optimized
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(
    model: onnx.ModelProto, entries: Mapping[str, str], **inputs: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    """Return every output by name."""
    session = session_of(model, entries)
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))

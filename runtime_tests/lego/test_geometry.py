"""The size of a convolution's result is that of ONNX's own shape inference."""

from __future__ import annotations

import onnx
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import TensorProto, helper, shape_inference

from legoexport.lego.geometry import conv_output_size

AXIS = st.tuples(
    st.integers(1, 20), st.integers(1, 5), st.integers(1, 3), st.integers(0, 4), st.integers(1, 3)
)


def inferred_size(
    size: tuple[int, int], kernel: tuple[int, int], geometry: dict[str, tuple[int, int]]
) -> list[int]:
    pads, attributes = geometry["padding"] * 2, (geometry["stride"], geometry["dilation"])
    node = helper.make_node(
        "Conv", ["x", "w"], ["y"], pads=pads, strides=attributes[0], dilations=attributes[1]
    )
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, *size))
    w = helper.make_tensor_value_info("w", TensorProto.FLOAT, (1, 1, *kernel))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "conv", [x, w], [y])
    inferred: onnx.ModelProto = shape_inference.infer_shapes(helper.make_model(graph))
    return [dim.dim_value for dim in inferred.graph.output[0].type.tensor_type.shape.dim[2:]]


@given(AXIS, AXIS)
def test_as_onnx_infers_it(rows: tuple[int, ...], columns: tuple[int, ...]) -> None:
    size, kernel, stride, padding, dilation = zip(rows, columns, strict=True)
    geometry = {"stride": stride, "padding": padding, "dilation": dilation}
    mine = conv_output_size(size, kernel=kernel, **geometry)
    assume(min(mine) >= 1)
    assert list(mine) == inferred_size(size, kernel, geometry)

"""Two models are compared by all that computes, and every kind of difference is named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from legoexport.parity.compare_models import compare_models

BIAS = "a.b/merge/bias"


def small_model() -> onnx.ModelProto:
    """A convolution, the sum of a Lego layer ``a.b``, and a ReLU."""
    x, y = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ("b", channels, 4, 4))
        for name, channels in (("x", 2), ("y", 3))
    )
    weight = np.arange(54, dtype=np.float32).reshape(3, 2, 3, 3)
    nodes = [
        helper.make_node("Conv", ["x", "stem.weight"], ["h"], "conv", pads=[1] * 4, group=1),
        helper.make_node("Add", ["h", BIAS], ["a.b/output"], "a.b/merge/sum"),
        helper.make_node("Relu", ["a.b/output"], ["y"], "relu"),
    ]
    tensors = [
        numpy_helper.from_array(weight, "stem.weight"),
        numpy_helper.from_array(np.zeros((3, 1, 1), np.float32), BIAS),
    ]
    graph = helper.make_graph(nodes, "main", [x], [y], initializer=tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"legoexport.target": "cpu", "author": "somebody"})
    return model


def negative_zero(model: onnx.ModelProto) -> None:
    array = np.zeros((3, 1, 1), np.float32)
    array[2] = -0.0
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(array, BIAS))


def nan_with_other_bits(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].raw_data = bytes.fromhex("0000c07f") + bytes(8)


def other_type(model: onnx.ModelProto) -> None:
    array = np.zeros((3, 1, 1), np.float16)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(array, BIAS))


def other_shape(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].dims[:] = [1, 3, 1]


def cut_short(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].raw_data = bytes(8)


def outside(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].data_location = onnx.TensorProto.EXTERNAL


def missing(model: onnx.ModelProto) -> None:
    del model.graph.initializer[1]


def second_of_a_name(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(model.graph.initializer[1])


def pads(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute[1].ints[2] = 2


def attribute_gone(model: onnx.ModelProto) -> None:
    del model.graph.node[0].attribute[0]


def operator(model: onnx.ModelProto) -> None:
    model.graph.node[1].op_type = "Sub"


def edge(model: onnx.ModelProto) -> None:
    model.graph.node[2].input[0] = "h"


def one_edge_less(model: onnx.ModelProto) -> None:
    del model.graph.node[1].input[1]


def order(model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([nodes[1], nodes[0], nodes[2]])


def one_node_more(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Abs", ["y"], ["z"], "a.b/merge/abs"))


def output_type(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 4


def opset(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 18


def ir_version(model: onnx.ModelProto) -> None:
    model.ir_version = 9


def a_function(model: onnx.ModelProto) -> None:
    relu = helper.make_node("Neg", ["x"], ["y"])
    opsets = [helper.make_opsetid("", 17)]
    model.functions.append(helper.make_function("", "Relu", ["x"], ["y"], [relu], opsets))


def target(model: onnx.ModelProto) -> None:
    next(one for one in model.metadata_props if one.key == "legoexport.target").value = "web"


HARM: tuple[tuple[Callable[[onnx.ModelProto], None], str], ...] = (
    (negative_zero, f"tensor {BIAS} [2, 0, 0] of layer a.b: -0.0 instead of 0.0"),
    (nan_with_other_bits, f"tensor {BIAS} [0, 0, 0] of layer a.b: nan instead of 0.0"),
    (other_type, f"tensor {BIAS} type of layer a.b: float16 instead of float32"),
    (other_shape, f"tensor {BIAS} shape of layer a.b: [1, 3, 1] instead of [3, 1, 1]"),
    (cut_short, f"tensor {BIAS} values of layer a.b: 8 bytes"),
    (outside, f"tensor {BIAS} place of layer a.b: in another file instead of in the file"),
    (missing, f"tensor {BIAS} of layer a.b: nothing instead of float32[3, 1, 1]"),
    (second_of_a_name, f"tensor {BIAS} (2) of layer a.b: float32[3, 1, 1] instead of nothing"),
    (pads, "node conv attribute pads of layer stem: [1, 1, 2, 1] instead of [1, 1, 1, 1]"),
    (attribute_gone, "node conv attribute group of layer stem: nothing instead of 1"),
    (operator, "node a.b/merge/sum operator of layer a.b: Sub instead of Add"),
    (edge, "node relu input 0: h instead of a.b/output"),
    (one_edge_less, f"node a.b/merge/sum input 1 of layer a.b: nothing instead of {BIAS}"),
    (order, "node conv in position 0 of layer stem: a.b/merge/sum instead of conv"),
    (one_node_more, "node a.b/merge/abs of layer a.b: Abs instead of nothing"),
    (output_type, "graph outputs: y float32[b, 4, 4, 4] instead of y float32[b, 3, 4, 4]"),
    (opset, "graph opsets: ai.onnx 18 instead of ai.onnx 17"),
    (ir_version, "graph model.ir_version: 9 instead of 8"),
    (a_function, "graph model.functions: "),
    (target, "metadata legoexport.target: web instead of cpu"),
)


@pytest.mark.parametrize(("harm", "sentence"), HARM, ids=[one[0].__name__ for one in HARM])
def test_each_kind_of_difference_is_named(
    harm: Callable[[onnx.ModelProto], None], sentence: str
) -> None:
    model = small_model()
    harm(model)
    found = compare_models(small_model(), model)
    assert len(found) == 1
    assert str(found[0]).startswith(sentence)
    assert len(str(found[0])) < 300


def test_what_computes_nothing_is_no_difference() -> None:
    model = small_model()
    model.doc_string = model.graph.doc_string = model.graph.node[0].doc_string = "words"
    next(one for one in model.metadata_props if one.key == "author").value = "somebody else"
    tensors = list(model.graph.initializer)
    del model.graph.initializer[:]
    model.graph.initializer.extend(reversed(tensors))
    typed = model.graph.initializer[0]
    typed.ClearField("raw_data")
    typed.float_data[:] = [0.0, 0.0, 0.0]
    model = onnx.shape_inference.infer_shapes(model)
    assert model.graph.value_info
    assert compare_models(small_model(), model) == ()

"""A file in int8 of other versions is not compared to the bit: a wrong one fails all the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.errors import CheckFailed
from legoexport.models.lego_conv import LegoConv2d
from legoexport.parity.verify import verify
from legoexport.passes.plan import Plan
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from runtime_tests.networks import randomize

EXAMPLE = torch.zeros(1, 3, 8, 8)
IMAGES = np.random.default_rng(0).standard_normal((12, 3, 8, 8)).astype(np.float32)


class Branches(nn.Module):
    """A pool beside a convolution, put together, then a Lego layer and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.side = nn.Conv2d(16, 16, 3, stride=2, padding=1)
        self.body = LegoConv2d(32, 16, 3, o=2, m=5, padding=1)
        self.classifier = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = torch.cat([self.pool(x), self.side(x).relu()], 1)
        y: Tensor = self.classifier(self.body(x).relu().mean((2, 3)))
        return y


def trained() -> nn.Module:
    torch.manual_seed(0)
    return randomize(Branches())


@cache
def file_bytes(plan: Plan | None = None) -> bytes:
    calibrate = CalibrationOptions(CalibrationImages.of(IMAGES))
    options = CompileOptions(precision="int8", plan=plan)
    return convert_module(trained(), EXAMPLE, options, calibrate=calibrate).model_bytes


def of_other_versions(plan: Plan | None = None) -> onnx.ModelProto:
    model = onnx.load_from_string(file_bytes(plan))
    entry = next(one for one in model.metadata_props if one.key == "legoexport.versions")
    entry.value = json.dumps({"onnxsim": "0.1"})
    return model


def node_of(model: onnx.ModelProto, start: str, operator: str) -> onnx.NodeProto:
    return next(n for n in model.graph.node if n.op_type == operator and n.name.startswith(start))


def move_padding(node: onnx.NodeProto) -> None:
    """As many zeros as before, but all of them on one side."""
    pads = next(one for one in node.attribute if one.name == "pads")
    pads.ints[:] = [2, pads.ints[1], 0, pads.ints[3]]


def pad_a_convolution(model: onnx.ModelProto) -> None:
    move_padding(node_of(model, "node_conv2d", "Conv"))


def pad_a_pool(model: onnx.ModelProto) -> None:
    move_padding(node_of(model, "", "MaxPool"))


def swap_the_branches(model: onnx.ModelProto) -> None:
    inputs = node_of(model, "", "Concat").input
    inputs[0], inputs[1] = inputs[1], inputs[0]


def repeat_a_branch(model: onnx.ModelProto) -> None:
    """Both halves are the first branch then."""
    inputs = node_of(model, "", "Concat").input
    inputs[1] = inputs[0]


def put_in(operator: str, after: onnx.NodeProto, model: onnx.ModelProto) -> None:
    (name,) = after.output
    after.output[0] = f"{name}_before"
    place = list(model.graph.node).index(after) + 1
    model.graph.node.insert(place, helper.make_node(operator, [f"{name}_before"], [name]))


def negate_a_convolution(model: onnx.ModelProto) -> None:
    put_in("Neg", node_of(model, "node_conv2d", "Conv"), model)


def squash_the_scores(model: onnx.ModelProto) -> None:
    put_in("Sigmoid", node_of(model, "", "Gemm"), model)


PLANTED = (
    pad_a_convolution,
    pad_a_pool,
    swap_the_branches,
    repeat_a_branch,
    negate_a_convolution,
    squash_the_scores,
)


def test_a_sound_file_passes() -> None:
    found = verify(trained(), of_other_versions().SerializeToString())
    assert found.passed
    assert "onnxsim 0.1" in str(found.exact.reason)


@pytest.mark.parametrize("plant", PLANTED)
def test_a_file_that_computes_something_else_fails(
    plant: Callable[[onnx.ModelProto], None],
) -> None:
    model = of_other_versions()
    plant(model)
    found = verify(trained(), model.SerializeToString())
    assert not found.passed
    assert "first at fault" in found.diagnosis[0]


DENSE_IN_FLOAT = Plan({"body": "int8_grouped"}, floats=("node_conv2d_1",))


@pytest.mark.parametrize("change_of", ["padding", "sign"])
def test_a_dense_layer_in_float_that_computes_something_else_fails(change_of: str) -> None:
    model = of_other_versions(DENSE_IN_FLOAT)
    assert verify(trained(), model.SerializeToString()).passed
    node = node_of(model, "node_conv2d_1", "Conv")
    if change_of == "padding":
        move_padding(node)
    else:
        put_in("Neg", node, model)
    found = verify(trained(), model.SerializeToString())
    assert not found.passed
    assert "does not follow from the values before it: cat (Concat)" in found.diagnosis[0]


def test_another_shape_is_named_with_its_layer() -> None:
    model = of_other_versions()
    conv = node_of(model, "body/transform", "Conv")
    next(one for one in conv.attribute if one.name == "strides").ints[:] = [2, 2]
    with pytest.raises(CheckFailed, match=r"(?s)body.*another shape.*legal: \(2, 16, 4, 4\)"):
        verify(trained(), model.SerializeToString())


def test_values_that_this_version_does_not_round_are_named() -> None:
    model = of_other_versions()
    concat = node_of(model, "", "Concat")
    constants = node_of(model, concat.input[0], "DequantizeLinear").input[1:]
    again = (
        helper.make_node("QuantizeLinear", [concat.input[0], *constants], ["again_quantized"]),
        helper.make_node("DequantizeLinear", ["again_quantized", *constants], ["again"]),
    )
    place = list(model.graph.node).index(concat)
    for node in reversed(again):
        model.graph.node.insert(place, node)
    node_of(model, "", "Concat").input[0] = "again"
    with pytest.raises(CheckFailed, match=r"(?s)other values than.*side only: \['again'\]"):
        verify(trained(), model.SerializeToString())


def change(model: onnx.ModelProto, name: str) -> None:
    """Another number in the first entry of a tensor."""
    tensor = next(one for one in model.graph.initializer if one.name == name)
    array = numpy_helper.to_array(tensor).copy()
    array.reshape(-1)[0] = array.reshape(-1)[0] ^ 5 if array.dtype.kind in "iu" else 0.75
    tensor.CopyFrom(numpy_helper.from_array(array, name))


# Kernels for integers read no scale of a bias; a weight at zeros, and one in float, shows nowhere.
IN_FLOAT = Plan({"body": "grouped"}, floats=("node_linear",))


@pytest.mark.parametrize(
    ("name", "plan"),
    [
        ("classifier.bias_scale", None),
        ("classifier.bias_zero_point", None),
        ("relu_scale", None),
        ("classifier.weight_codes", None),
        ("classifier.weight_codes", IN_FLOAT),
        ("body.tables.lego_codes", IN_FLOAT),
    ],
)
def test_a_number_that_no_integer_of_the_walk_shows_is_named(name: str, plan: Plan | None) -> None:
    model = of_other_versions(plan)
    assert verify(trained(), model.SerializeToString()).passed
    change(model, name)
    found = verify(trained(), model.SerializeToString())
    assert not found.passed
    assert found.exact.reason is not None
    named = "scales_sha256" if name == "relu_scale" else name
    assert any(named in line for line in found.diagnosis), found.diagnosis


def test_the_axis_of_a_weight_is_named() -> None:
    model = of_other_versions()
    node = node_of(model, "node_conv2d_1/", "DequantizeLinear")
    next(one for one in node.attribute if one.name == "axis").i = 1
    found = verify(trained(), model.SerializeToString())
    assert not found.passed
    assert any(f"{node.name} attribute axis" in line for line in found.diagnosis)


@pytest.mark.parametrize("name", ["body/merge/coefficient", "body/merge/index"])
def test_a_lego_layer_in_float_is_walked_too(name: str) -> None:
    model = of_other_versions(IN_FLOAT)
    found = verify(trained(), model.SerializeToString())
    assert [(one.layer, one.passed) for one in found.layers] == [("body", True)]
    change(model, name)
    found = verify(trained(), model.SerializeToString())
    # The value behind it does not follow from the integers before it, either.
    rows = [(one.layer, one.passed) for one in found.layers]
    assert rows == [("output", False), ("body", False)]
    assert found.diagnosis[0].startswith("first at fault: body (grouped)")


def test_a_bias_in_the_scale_of_another_tensor_is_named() -> None:
    model = of_other_versions()
    node = node_of(model, "node_linear/classifier.bias", "DequantizeLinear")
    node.input[1] = "classifier.weight_scale"
    found = verify(trained(), model.SerializeToString())
    assert not found.passed
    assert any(f"{node.name} input 1" in line for line in found.diagnosis)

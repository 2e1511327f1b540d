"""What stands between Lego layers in a file that computes in int8 is checked node by node."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from legoexport.compile.read_scales import read_scales
from legoexport.errors import UsageError
from legoexport.lego.scales import LIMITS, ActivationType, Affine, Scales
from legoexport.lego.storage import LARGEST_CODE
from legoexport.models.lego_conv import LegoConv2d
from legoexport.ort.session import expose
from legoexport.parity.integer.check import IntegerAgreement
from legoexport.parity.integer.dense_walk import DenseWalk
from legoexport.parity.integer.nodes import NotComputed, compute, window_of
from runtime_tests.parity.qdq import EXACT, SIGNED, Draft, run
from runtime_tests.quantize.int8_network import (
    IMAGES,
    Int8Network,
    int8_network,
    other_int8,
    small_int8,
)
from runtime_tests.quantize.networks import NETWORKS

EXAMPLES = 20
SHOWN = IMAGES[:2]


def unrounded(network: Int8Network) -> onnx.ModelProto:
    return ir.to_proto(network.prepared.model.clone())


def largest_code(network: Int8Network) -> int:
    assert network.prepared.integers is not None
    return int(LARGEST_CODE[network.prepared.integers.store])


@cache
def lowered() -> onnx.ModelProto:
    return small_int8().lowered().model


def walked(
    model: onnx.ModelProto, network: Int8Network, scales: Scales | None = None
) -> tuple[IntegerAgreement, ...]:
    walk = DenseWalk(model, unrounded(network), scales or network.scales, largest_code(network))
    assert walk.floats == ()
    name = model.graph.input[0].name
    return walk.check({name: SHOWN, **run(expose(model, walk.names), EXACT, **{name: SHOWN})})


@pytest.mark.parametrize("name", NETWORKS)
def test_all_that_stands_between_lego_layers_is_right(name: str) -> None:
    network = other_int8(name)
    found = walked(network.lowered().model, network)
    assert found
    assert all(one.passed for one in found), list(map(str, found))
    assert max(one.largest_step_difference for one in found) <= 1


def test_dense_layers_are_among_them() -> None:
    operators = [one.lowering for one in walked(lowered(), small_int8())]
    assert operators == ["QuantizeLinear", "Conv", "GlobalAveragePool", "Reshape", "Gemm"]


class Addmm(nn.Module):
    """A Gemm that reads its matrix as it is, as decomposed networks have it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = LegoConv2d(3, 4, 3, o=3, m=4)
        self.weight, self.bias = nn.Parameter(torch.randn(4, 5)), nn.Parameter(torch.randn(5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, self.body(x).mean((2, 3)), self.weight)


def test_a_matrix_is_read_as_the_checkpoint_has_it() -> None:
    torch.manual_seed(0)
    network = int8_network(Addmm())
    found = walked(network.lowered().model, network)
    assert [one.lowering for one in found][-1] == "Gemm"
    assert all(one.passed for one in found), list(map(str, found))


def changed(ending: str, entry: int, by: float) -> tuple[onnx.ModelProto, str]:
    """The file with one number of one tensor changed."""
    model = onnx.ModelProto()
    model.CopyFrom(lowered())
    (tensor,) = [one for one in model.graph.initializer if one.name == ending]
    array = numpy_helper.to_array(tensor).copy()
    array.reshape(-1)[entry] += np.asarray(by, array.dtype)
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model, tensor.name


def dense_constants() -> list[tuple[str, str, int]]:
    """Node, name and length of each stored number of a dense layer."""
    made = {node.output[0]: node for node in lowered().graph.node}
    sizes = {one.name: int(np.prod(one.dims)) for one in lowered().graph.initializer}
    return [
        (node.op_type, name, sizes[name])
        for node in lowered().graph.node
        if node.op_type in ("Conv", "Gemm") and "/" not in node.name
        for decoded in node.input[1:]
        for name in made[decoded].input[:1]
    ]


def differ(model: onnx.ModelProto) -> bool:
    """Whether anything comes out otherwise: a weight that only meets zeros shows nowhere."""
    walk = DenseWalk(model, unrounded(small_int8()), small_int8().scales, 127)
    name = model.graph.input[0].name
    found, healthy = (
        run(expose(one, walk.names), EXACT, **{name: SHOWN}) for one in (model, lowered())
    )
    return any(not np.array_equal(found[one], healthy[one]) for one in found)


@settings(max_examples=EXAMPLES, deadline=None)
@given(which=st.integers(0, 3), draw=st.integers(0, 2**32 - 1))
def test_a_changed_code_of_a_dense_layer_is_found_there(which: int, draw: int) -> None:
    operator, name, size = dense_constants()[which]
    array = next(numpy_helper.to_array(t) for t in lowered().graph.initializer if t.name == name)
    entry = draw % size
    old = int(array.reshape(-1)[entry])
    # A bias counts in units of the products; a code moves them by up to 255 of its steps.
    by = 4 * (-1 if old > 0 else 1) if array.dtype == np.int8 else 2000
    model, _ = changed(name, entry, by)
    assume(differ(model))
    wrong = [one for one in walked(model, small_int8()) if not one.passed]
    assert [one.lowering for one in wrong] == [operator]
    assert wrong[0].first_wrong_channel == np.unravel_index(entry, array.shape)[0]


def test_a_changed_scale_is_what_the_file_says_and_is_found_against_the_checkpoint() -> None:
    """The scales of a file are what it is checked by; those that calibration gave name a change."""
    name = next(n.input[1] for n in lowered().graph.node if n.op_type == "QuantizeLinear")
    model, _ = changed(name, 0, 0.001)
    assert read_scales(model).sha256() != small_int8().scales.sha256()
    assert not all(one.passed for one in walked(model, small_int8()))


@pytest.mark.parametrize("scale", [0, np.nan, -1])
def test_a_scale_that_is_none_is_named(scale: float) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(lowered())
    name = next(n.input[1] for n in model.graph.node if n.op_type == "QuantizeLinear")
    stored = next(one for one in model.graph.initializer if one.name == name)
    stored.CopyFrom(numpy_helper.from_array(np.array(scale, np.float32), name))
    with pytest.raises(UsageError, match=f"(?s){name} and .*: a scale must be a positive float32"):
        read_scales(model)


def affines(dtype: ActivationType) -> tuple[Affine, Affine]:
    return Affine.of_range(-3, 2, dtype), Affine.of_range(-1, 4, dtype)


def combined(op: str, attributes: dict[str, Any], dtype: ActivationType) -> onnx.ModelProto:
    """One operator on integers; of two values if it takes them, with integers of its own."""
    first, second = affines(dtype)
    draft = Draft()
    inputs = [draft.quantize("a", first)]
    if op in ("Add", "Concat"):
        inputs.append(draft.quantize("b", second))
    draft.node(op, inputs, "made", **attributes)
    moves = op in ("MaxPool", "Flatten")
    draft.quantize("made", first if moves else Affine.of_range(-3, 5, dtype))
    shape = {"a": (3, 7, 6), "b": (3, 7, 6)}
    taken = {name: size for name, size in shape.items() if f"{name}_numbers" in inputs}
    return draft.model(taken, ["made_numbers"])


OPERATORS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Add", {}),
    ("Concat", {"axis": 1}),
    ("Flatten", {}),
    ("GlobalAveragePool", {}),
    ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}),
    ("AveragePool", {"kernel_shape": [2, 3], "strides": [1, 2]}),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}),
    ("AveragePool", {"kernel_shape": [3, 3], "pads": [1, 1, 0, 0], "count_include_pad": 1}),
    ("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 1, 0], "ceil_mode": 1}),
    ("AveragePool", {"kernel_shape": [3, 3], "strides": [3, 2], "ceil_mode": 1}),
    ("AveragePool", {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1] * 4, "ceil_mode": 1}),
)


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize(("op", "attributes"), OPERATORS)
def test_operators_on_integers_are_those_of_onnxruntime(
    op: str, attributes: dict[str, Any], dtype: ActivationType
) -> None:
    model = combined(op, attributes, dtype)
    walk = DenseWalk(model, onnx.ModelProto(), read_scales(model), 127)
    images: dict[str, NDArray[np.float32]] = {
        one.name: np.random.default_rng(i).standard_normal((4, 3, 7, 6)).astype(np.float32)
        for i, one in enumerate(model.graph.input)
    }
    values = run(expose(model, walk.names), EXACT if dtype == "uint8" else SIGNED, **images)
    found = walk.check({**images, **values})
    assert [one.lowering for one in found][-1] == op
    assert all(one.passed for one in found), list(map(str, found))


def test_what_nothing_but_the_runtime_computes_is_said() -> None:
    # ONNX's reference implementation fails on two groups.
    node = onnx.helper.make_node("ConvTranspose", ["x", "w"], ["y"], "up", group=2)
    with pytest.raises(NotComputed, match=r"node up, ConvTranspose"):
        compute(node, [np.zeros((1, 4, 3, 3)), np.zeros((4, 1, 2, 2))], 17)


def test_a_size_that_is_not_stated_is_refused() -> None:
    node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER")
    with pytest.raises(UsageError, match="SAME_UPPER"):
        window_of(node, (3, 3))

"""Each trigger finds what it is for and nothing beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from legoexport.doctor.model import FoldedModel
from legoexport.doctor.triggers import TRIGGERS
from legoexport.errors import UsageError
from legoexport.lego.frozen import FrozenLego
from runtime_tests.doctor.graphs import Conv, chain, weight
from runtime_tests.layers import lowered, random_frozen

PADDED = {"pads": [1, 1, 1, 1]}


def found(trigger: str, model: onnx.ModelProto) -> list[str]:
    return list(TRIGGERS[trigger](FoldedModel(model)))


def alike(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    first, second = weight(8, 8, 3, 3, seed=seed), weight(8, 8, 3, 3, seed=seed + 1)
    second.ravel()[:16] = first.ravel()[:16]
    return first, second


def test_weights_that_share_their_first_sixteen_numbers_are_found() -> None:
    first, second = alike()
    both = ["conv_0", "conv_1"]
    layers = [Conv(first, PADDED), Conv(second, PADDED)]
    assert found("convolutions_that_start_alike", chain(layers)) == both
    assert found("convolutions_that_start_alike", chain(layers, batch="b")) == both
    biased = [Conv(first, PADDED), Conv(first, PADDED, weight(8))]
    assert found("convolutions_that_start_alike", chain(biased)) == both


TOLD_APART = ["another start", "equal", "batch", "kernel", "pads", "dilation"]


@pytest.mark.parametrize("what", TOLD_APART)
def test_what_the_sme_cache_tells_apart_is_not_found(what: str) -> None:
    first, second = alike()
    layers, batch = [Conv(first, PADDED), Conv(second, PADDED)], 1
    if what == "another start":
        second[0, 0, 0, 0] += 1
    elif what == "equal":
        layers = [Conv(first, PADDED)] * 2
    elif what == "batch":
        batch = 2
    elif what == "kernel":
        layers = [Conv(first[:, :, :1, :1]), Conv(second[:, :, :1, :1])]
    elif what == "pads":
        layers = [replace(layer, attributes={"pads": [1, 0, 1, 0]}) for layer in layers]
    else:
        layers[1] = replace(layers[1], attributes={"dilations": [2, 2], **PADDED})
    assert found("convolutions_that_start_alike", chain(layers, batch=batch)) == []


def fragments_that_begin_with_one_filter() -> FrozenLego:
    """Two fragments, each of which uses three filters, the first of them the same."""
    frozen = random_frozen(np.random.default_rng(0), o=2, m=6, n=8, padding=(1, 1))
    index = np.array([[0, 1, 2, 0, 1, 2, 0, 1], [0, 3, 4, 0, 3, 4, 0, 3]])
    return replace(frozen, index=index)


def test_groups_that_share_their_first_numbers_are_found() -> None:
    first, second = alike()
    grouped = {"group": 2, **PADDED}
    both = Conv(np.concatenate([first, second]), grouped)
    assert found("convolutions_that_start_alike", chain([both])) == ["conv_0"]
    second[0, 0, 0, 0] += 1
    apart = Conv(np.concatenate([first, second]), grouped)
    assert found("convolutions_that_start_alike", chain([apart])) == []
    depthwise = Conv(np.tile(first[:1, :1], (8, 1, 1, 1)), {"group": 8, **PADDED})
    assert found("convolutions_that_start_alike", chain([depthwise])) == []


def test_a_convolution_per_fragment_and_groups_are_found() -> None:
    frozen = fragments_that_begin_with_one_filter()
    named = {}
    for lowering in ("per_fragment", "grouped", "fragment_batch", "fragment_stack", "dense"):
        model = ir.to_proto(lowered(frozen, 8, 8, lowering))
        named[lowering] = found("convolutions_that_start_alike", model)
    assert named == {
        "per_fragment": ["layer/transform/conv_0", "layer/transform/conv_1"],
        "grouped": ["layer/transform/conv"],
        "fragment_batch": [],
        "fragment_stack": [],
        "dense": [],
    }


def test_more_channels_than_the_buffer_of_zeros_holds() -> None:
    layers = [Conv(weight(300, 8, 3, 3), PADDED), Conv(weight(4, 300, 3, 3), PADDED)]
    assert found("padded_convolutions_that_widen", chain(layers)) == ["conv_1"]
    assert found("padded_convolutions_that_widen", chain(layers[1:])) == []
    bare = [replace(layer, attributes={}) for layer in layers]
    assert found("padded_convolutions_that_widen", chain(bare)) == []


def test_paddings() -> None:
    filters = weight(4, 3, 3, 3)
    unequal, one_sided = ({"pads": pads} for pads in ([0, 1, 0, 1], [0, 0, 1, 1]))
    for attributes, expected in ((PADDED, []), (unequal, ["conv_0"]), (one_sided, [])):
        model = chain([Conv(filters, attributes)])
        assert found("convolutions_padded_unequally", model) == expected
    grouped = {"group": 2, **unequal}
    assert found("convolutions_padded_unequally", chain([Conv(filters, grouped)])) == []
    row = Conv(weight(4, 3, 1, 3), unequal)
    assert found("convolutions_padded_unequally", chain([row])) == []
    assert found("convolutions_padded_on_one_side", chain([Conv(filters, one_sided)]))
    assert not found("convolutions_padded_on_one_side", chain([Conv(filters, unequal)]))


def test_dilated_groups_but_neither_depthwise_nor_ungrouped() -> None:
    dilated = {"dilations": [2, 2]}
    in_groups = Conv(weight(4, 3, 3, 3), {"group": 2, **dilated})
    depthwise = Conv(weight(4, 1, 3, 3), {"group": 4, **dilated})
    alone = Conv(weight(4, 3, 3, 3), dilated)
    plain = Conv(weight(4, 3, 3, 3), {"group": 2})
    names = [bool(found("dilated_groups", chain([one]))) for one in (in_groups, depthwise, alone)]
    assert names == [True, False, False]
    assert found("dilated_groups", chain([plain])) == []


def test_half_precision() -> None:
    half, single = (
        chain([Conv(weight(4, 3, 3, 3).astype(np.float16))]),
        chain([Conv(weight(4, 3, 3, 3))]),
    )
    assert found("half_convolutions", half) == ["conv_0"]
    assert found("half_values", half)
    assert not found("half_convolutions", single)
    assert not found("half_values", single)


def test_codes_in_half_precision_are_cast_before_anything_computes() -> None:
    model = chain([Conv(weight(4, 3, 3, 3))])
    stored, conv = model.graph.initializer[0], model.graph.node[0]
    codes = numpy_helper.to_array(stored).astype(np.float16)
    cast = helper.make_node("Cast", ["codes"], [stored.name], to=onnx.TensorProto.FLOAT)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(codes, "codes"))
    model.graph.node.insert(0, cast)
    assert conv.input[1] == cast.output[0]
    assert not found("half_values", model)
    assert not found("half_convolutions", model)
    assert found("stored_halves", model) == ["codes"]
    assert not found("stored_halves", chain([Conv(weight(4, 3, 3, 3))]))


def in_integers(*, largest: int, zero_point: bool, reshape: bool) -> onnx.ModelProto:
    """A weight in int8, dequantized and added to the input."""
    codes = np.array([[largest, -3], [7, -largest]], np.int8)
    constants = [
        numpy_helper.from_array(codes, "codes"),
        numpy_helper.from_array(np.array(0.5, np.float32), "scale"),
        numpy_helper.from_array(np.array(0, np.int8), "zero"),
        numpy_helper.from_array(np.array([2, 2]), "shape"),
    ]
    taken = ["codes", "scale", *(["zero"] if zero_point else [])]
    last = ("Reshape", ["w", "shape"]) if reshape else ("Neg", ["w"])
    nodes = [
        helper.make_node("DequantizeLinear", taken, ["w"], "dequantize"),
        helper.make_node(*last, ["v"], "last"),
        helper.make_node("MatMul", ["x", "v"], ["y"], "product"),
    ]
    x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, [2, 2]) for n in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("largest", [63, 64, 65, 127])
def test_codes_are_found_whose_pairs_overflow(largest: int) -> None:
    model = in_integers(largest=largest, zero_point=True, reshape=False)
    assert bool(found("codes_beyond_pairs", model)) == (largest > 64)


@pytest.mark.parametrize("zero_point", [False, True])
@pytest.mark.parametrize("reshape", [False, True])
def test_a_reshape_of_integers_without_a_zero_point(*, zero_point: bool, reshape: bool) -> None:
    model = in_integers(largest=5, zero_point=zero_point, reshape=reshape)
    names = ["last"] if reshape and not zero_point else []
    assert found("reshapes_of_signed_integers", model) == names


def test_only_gathers_of_maps_are_found() -> None:
    model = ir.to_proto(lowered(fragments_that_begin_with_one_filter(), 8, 8, "grouped"))
    assert found("gathers", model) == ["layer/merge/gather"]


def test_operators_of_the_network() -> None:
    model = chain([Conv(weight(4, 3, 3, 3))])
    assert found("any_model", model)
    for trigger in ("matrix_products", "gathers", "fused_operators", "open_batch"):
        assert found(trigger, model) == []
    assert found("open_batch", chain([Conv(weight(4, 3, 3, 3))], batch="b")) == ["x0"]
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    model.graph.node[0].op_type, model.graph.node[0].domain = "FusedConv", "com.microsoft"
    assert found("fused_operators", model) == ["conv_0"]


def test_a_matrix_product_is_found() -> None:
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [2, 2]) for name in "abc"]
    node = helper.make_node("MatMul", ["a", "b"], ["c"], "product")
    graph = helper.make_graph([node], "g", values[:2], values[2:])
    imports = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=8)
    assert found("matrix_products", model) == ["product"]


def test_a_model_that_does_not_load_is_explained() -> None:
    model = chain([Conv(weight(4, 3, 3, 3))])
    model.graph.node[0].input[1] = "nowhere"
    with pytest.raises(UsageError, match="does not load"):
        FoldedModel(model)

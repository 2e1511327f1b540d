"""A footprint counts what the graph multiplies, number for number, for every lowering."""

from __future__ import annotations

from math import prod
from typing import get_args

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from legoexport.passes.lowerings import LOWERINGS, Site, Sums, find_lowering
from runtime_tests.layers import LayerCase, layer_cases, lowered, random_frozen
from runtime_tests.passes.test_winograd import winograd_cases

# What multiplies nothing: it moves, reads shapes, or adds indices.
MOVES = {"Gather", "Reshape", "Concat", "Split", "Slice", "Transpose", "Pad", "Add", "Expand"}


def multiply_adds(model: ir.Model) -> int:
    """Multiply-adds that a graph runs for an image, from its shapes and nothing else.

    What depends on constants alone is folded when the file is loaded, and runs for none.
    """
    proto = ir.to_proto(model)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    del proto.graph.output[:]
    inferred = onnx.shape_inference.infer_shapes(proto, strict_mode=True, data_prop=True)
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*inferred.graph.value_info, *inferred.graph.input]
    }
    shapes |= {one.name: list(one.dims) for one in inferred.graph.initializer}
    varying, macs = {proto.graph.input[0].name}, 0
    for node in inferred.graph.node:
        if not varying.intersection(node.input):
            continue
        varying.update(node.output)
        result = shapes[node.output[0]]
        assert 0 not in result, f"{node.name}: no shape"
        if node.op_type == "Conv":
            macs += prod(result) * prod(shapes[node.input[1]][1:])
        elif node.op_type == "MatMul":
            macs += prod(result) * shapes[node.input[0]][-1]
        else:
            assert node.op_type in MOVES, node.op_type
    return macs


def wide_cases() -> st.SearchStrategy[LayerCase]:
    """Small maps with whole blocks of outputs, which are summed by blocks."""

    def case(n: int, height: int, width: int, seed: int) -> LayerCase:
        rng = np.random.default_rng(seed)
        frozen = random_frozen(rng, n=n, m=5, fragment_channels=4, padding=(1, 1))
        return LayerCase(frozen, np.zeros((1, frozen.c, height, width), np.float32))

    side = st.integers(3, 9)
    return st.builds(case, st.sampled_from([16, 32, 40]), side, side, st.integers(0, 2**16))


@pytest.mark.parametrize("name", LOWERINGS)
@settings(max_examples=40, deadline=None)
@given(
    case=layer_cases() | winograd_cases(any_width=True) | winograd_cases() | wide_cases(),
    sums=st.sampled_from(get_args(Sums)),
)
def test_macs_are_those_of_the_graph(name: str, case: LayerCase, sums: Sums) -> None:
    height, width = case.x.shape[2:]
    site, lowering = Site("layer", case.frozen, (height, width), sums), find_lowering(name)
    if lowering.declines(site):
        return
    footprint = lowering.footprint(site)
    assert footprint.macs == multiply_adds(lowered(case.frozen, height, width, name, sums))
    assert 0 < footprint.compute_bound_macs <= footprint.macs

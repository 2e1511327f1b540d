"""Every lowering, on any geometry, against float64 numpy."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings

from legoexport.errors import UsageError
from legoexport.passes.lower_lego import LowerLego
from legoexport.passes.lowerings import LOWERINGS, Site, find_lowering
from legoexport.passes.plan import Plan
from runtime_tests.layers import LayerCase, layer_cases, lego_graph, lowered, random_frozen, run
from runtime_tests.reference import rounding_scale, split_transform_merge

EPSILON = float(np.finfo(np.float32).eps)
# A float32 sum of k products errs by at most about k * eps/2 of the sum of their absolute values;
# the longest here has 4 * 5 * 25 + 1 terms, and in practice errors grow with the square root.
SUM_TOLERANCE = 32 * EPSILON


@pytest.mark.parametrize("name", LOWERINGS)
@settings(max_examples=60, deadline=None)
@given(case=layer_cases())
def test_equals_the_definition(name: str, case: LayerCase) -> None:
    lowering = find_lowering(name)
    height, width = case.x.shape[2:]
    if lowering.declines(Site("layer", case.frozen, (height, width))):
        return
    actual = run(lowered(case.frozen, height, width, name), case.x)
    expected = split_transform_merge(case.x.astype(np.float64), case.frozen)
    scale = rounding_scale(case.x.astype(np.float64), case.frozen)
    assert actual.shape == expected.shape
    tolerance = SUM_TOLERANCE * lowering.rounding_growth * scale
    assert np.abs(actual - expected).max() <= tolerance


@pytest.mark.parametrize("name", LOWERINGS)
def test_graph_before_and_after(name: str) -> None:
    frozen = random_frozen(np.random.default_rng(0), fragment_channels=8, padding=(1, 1))
    model = lego_graph(frozen, 8, 8)
    assert [node.op_type for node in model.graph] == ["LegoConv2d"]
    result = LowerLego(Plan({"layer": name}))(model)
    assert result.modified
    assert {node.domain for node in model.graph} == {""}
    assert "legoexport" not in model.opset_imports
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    for node in model.graph:
        assert node.name.startswith("layer/"), "profiles find a layer by the names of its nodes"
    again = LowerLego(Plan({"layer": name}))(model)
    assert not again.modified


@pytest.mark.parametrize("name", LOWERINGS)
def test_the_bank_is_stored_once_and_the_batch_stays_open(name: str) -> None:
    frozen = random_frozen(np.random.default_rng(1), o=4, m=16, n=32, fragment_channels=16)
    model = lowered(frozen, 9, 7, name)
    floats = [
        value.const_value.size
        for value in model.graph.initializers.values()
        if value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT
    ]
    assert floats.count(frozen.lego.size) == 1
    assert sum(floats) <= frozen.lego.size + frozen.coefficient.size + frozen.n + 512
    for batch in (1, 2, 5):
        x = np.ones((batch, frozen.c, 9, 7), np.float32)
        assert run(model, x).shape[0] == batch


def test_an_unknown_lowering_is_named() -> None:
    with pytest.raises(UsageError, match="fast"):
        find_lowering("fast")

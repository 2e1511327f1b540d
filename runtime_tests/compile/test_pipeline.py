"""The compiler as a whole: equal numbers, one node a layer, open batch, same bytes twice."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from legoexport.compile.freeze import FrozenNetwork, freeze
from legoexport.compile.pipeline import compile_network, lower, prepare
from legoexport.compile.stages import Compiled, CompileOptions, Prepared, Stage
from legoexport.errors import UsageError
from legoexport.models.lego_conv import LegoConv2d
from legoexport.passes.lowerings import LOWERINGS
from runtime_tests.networks import plan_where_it_serves, small_net

EXAMPLE = torch.zeros(1, 3, 12, 10)
# Four layers of float32 sums of some hundred products, relative to the largest output.
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def network() -> FrozenNetwork:
    return freeze(small_net(), EXAMPLE)


def outputs(compiled: Compiled, x: Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(compiled.model.SerializeToString())
    return np.asarray(session.run(None, {"input": x.numpy()})[0])


@pytest.fixture(scope="module")
def prepared(network: FrozenNetwork) -> Prepared:
    return prepare(network, EXAMPLE, CompileOptions())


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_equals_pytorch_in_float64(prepared: Prepared, lowering: str) -> None:
    compiled = lower(prepared, plan_where_it_serves(prepared, lowering))
    for batch in (1, 3):
        x = torch.randn(batch, 3, 12, 10, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            expected = small_net().eval().double()(x.double()).numpy()
        assert np.abs(outputs(compiled, x) - expected).max() <= TOLERANCE * np.abs(expected).max()


def test_stages_go_from_one_node_a_layer_to_standard_onnx(network: FrozenNetwork) -> None:
    stages: list[Stage] = []
    compiled = compile_network(network, EXAMPLE, CompileOptions(), stages.append)
    assert [stage.name for stage in stages] == list(compiled.stages)
    counts = {
        stage.name: sum(node.domain == "legoexport" for node in stage.model.graph.node)
        for stage in stages
    }
    assert counts["emit"] == counts["drop_unused_pairs"] == 3
    assert counts["lower_lego"] == counts["simplify_graph"] == 0
    norms = [node for node in compiled.model.graph.node if node.op_type == "BatchNormalization"]
    assert not norms
    assert (compiled.model.opset_import[0].version, compiled.model.ir_version) == (17, 8)
    onnx.checker.check_model(compiled.model, full_check=True)


def test_no_reshape_asks_for_what_only_zeros_need(network: FrozenNetwork) -> None:
    compiled = compile_network(network, EXAMPLE, CompileOptions())
    reshapes = [node for node in compiled.model.graph.node if node.op_type == "Reshape"]
    assert reshapes
    assert not any(one.name == "allowzero" for node in reshapes for one in node.attribute)


def test_layers_are_named_where_they_stand(network: FrozenNetwork) -> None:
    compiled = compile_network(network, EXAMPLE, CompileOptions())
    values = {name for node in compiled.model.graph.node for name in (*node.input, *node.output)}
    assert [layer.layer for layer in compiled.layers] == ["first", "second", "third"]
    for layer in compiled.layers:
        assert {layer.input, layer.output} <= values
    assert [layer.trained_m for layer in compiled.layers] == [12, 9, 16]


@pytest.mark.usefixtures("own_exports")
def test_the_same_network_gives_the_same_bytes() -> None:
    first, second = (
        compile_network(freeze(small_net(), EXAMPLE), EXAMPLE, CompileOptions()).model
        for _ in range(2)
    )
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(
        deterministic=True
    )


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_is_fixed(network: FrozenNetwork, batch: int) -> None:
    options = CompileOptions(dynamic_batch=False)
    compiled = compile_network(network, torch.zeros(batch, 3, 12, 10), options)
    shape = compiled.model.graph.input[0].type.tensor_type.shape
    assert [dimension.dim_value for dimension in shape.dim] == [batch, 3, 12, 10]


@pytest.mark.parametrize("opset", [15, 16, 18, 20, 21])
def test_other_opsets_load(network: FrozenNetwork, opset: int) -> None:
    compiled = compile_network(network, EXAMPLE, CompileOptions(opset=opset))
    assert compiled.model.opset_import[0].version == opset
    assert outputs(compiled, torch.zeros(2, 3, 12, 10)).shape == (2, 10)


@pytest.mark.parametrize("opset", [1, 14, 99])
def test_an_opset_that_cannot_be_written_is_refused(opset: int) -> None:
    with pytest.raises(UsageError, match=r"opset"):
        CompileOptions(opset=opset)


def test_a_layer_called_twice_stores_its_bank_once() -> None:
    shared = LegoConv2d(8, 8, 3, o=2, m=4, padding=1)
    example = torch.zeros(1, 8, 6, 6)
    compiled = compile_network(
        freeze(nn.Sequential(shared, nn.ReLU(), shared), example), example, CompileOptions()
    )
    assert [layer.layer for layer in compiled.layers] == ["0", "0#2"]
    banks = [t for t in compiled.model.graph.initializer if list(t.dims) == [4, 4, 3, 3]]
    assert len(banks) == 1


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = LegoConv2d(4, 4, 1, o=2, m=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.conv(x)
        return y, y.relu()


class DataDependent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = LegoConv2d(4, 4, 1, o=2, m=2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return y if float(y.sum()) > 0 else -y


def test_a_network_that_cannot_be_traced_is_explained() -> None:
    example = torch.zeros(1, 4, 5, 5)
    with pytest.raises(UsageError, match="cannot trace module DataDependent"):
        compile_network(freeze(DataDependent(), example), example, CompileOptions())

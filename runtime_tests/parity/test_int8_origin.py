"""Values of a file in int8 follow from each other as in its network, whatever its graph says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from legoexport.compile.stages import CompileOptions
from legoexport.deliver import finished
from legoexport.deliver.convert import convert_module
from legoexport.errors import CheckFailed, ParityFailed
from legoexport.models.lego_conv import LegoConv2d
from legoexport.ort.subgraph import run_between
from legoexport.parity.verify import verify
from legoexport.passes.keep_floats import KeepFloats
from legoexport.passes.plan import Plan
from legoexport.passes.quantize_activations import QuantizeActivations
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from runtime_tests.networks import randomize

EXAMPLE = torch.zeros(1, 3, 8, 8)
IMAGES = np.random.default_rng(0).standard_normal((12, 3, 8, 8)).astype(np.float32)
Fault = Callable[[ir.Graph], None]


class Branches(nn.Module):
    """Two Lego layers whose results meet in integers, in float operators and in further layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.left, self.right, self.last = (
            LegoConv2d(16, 16, 3, o=2, m=8, padding=1) for _ in range(3)
        )
        self.mix, self.head = nn.Conv2d(16, 16, 1, bias=False), nn.Linear(16, 5)
        self.tail = nn.ELU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x).relu()
        left, right = self.left(y), self.right(y)
        total = left + right
        gated = nn.functional.softplus(left) * right.sigmoid()
        joined = self.last(total) + self.mix(gated) + total
        scores: Tensor = self.tail(self.head(joined.mean((2, 3))))
        return scores


def network() -> nn.Module:
    torch.manual_seed(0)
    return randomize(Branches()).eval()


def converted(module: nn.Module | None = None, plan: Plan | None = None) -> bytes:
    calibrate = CalibrationOptions(CalibrationImages.of(IMAGES))
    options = CompileOptions(precision="int8", plan=plan)
    return convert_module(module or network(), EXAMPLE, options, calibrate=calibrate).model_bytes


def _node(graph: ir.Graph, op_type: str, name: str = "") -> ir.Node:
    return next(one for one in graph if one.op_type == op_type and name in str(one.name))


def _numbers(graph: ir.Graph, value: str) -> ir.Value:
    return next(one.outputs[0] for one in graph if one.name == f"{value}_dequantized")


def float_operator(graph: ir.Graph) -> None:
    _node(graph, "Sigmoid").replace_input_with(0, _numbers(graph, "left/output"))


def sum_of_integers(graph: ir.Graph) -> None:
    _node(graph, "Add").replace_input_with(1, _numbers(graph, "left/output"))


def dense_layer(graph: ir.Graph) -> None:
    mix = next(one for one in graph if one.op_type == "Conv" and "mix" in str(one.inputs[1]))
    producer = _numbers(graph, "left/output").producer()
    assert producer is not None
    again = ir.node("DequantizeLinear", producer.inputs, name="again")
    again.outputs[0].name = "again"
    graph.insert_before(mix, again)
    mix.replace_input_with(0, again.outputs[0])


def float_tail(graph: ir.Graph) -> None:
    _node(graph, "Elu").op_type = "Celu"
    _node(graph, "Celu").attributes["alpha"] = ir.AttrFloat32("alpha", 3.0)


def lego_layer(graph: ir.Graph) -> None:
    last = next(one for one in graph if one.domain and "last" in str(one.attributes["layer"].value))
    last.replace_input_with(0, _numbers(graph, "left/output"))


def rewire(
    monkeypatch: pytest.MonkeyPatch, stage: type[ir.passes.InPlacePass], fault: Fault
) -> None:
    """Let a pass of the compiler leave an edge that goes elsewhere."""
    call = stage.call

    def wrong(self: ir.passes.InPlacePass, model: ir.Model) -> ir.passes.PassResult:
        call(self, model)
        fault(model.graph)
        return ir.passes.PassResult(model, modified=True)

    monkeypatch.setattr(stage, "call", wrong)


def test_a_value_that_is_given_is_computed_all_the_same_for_others_to_be_compared_with() -> None:
    nodes = [helper.make_node("Neg", ["x"], ["y"]), helper.make_node("Exp", ["y"], ["z"])]
    x, y = np.array([[[1, 2]], [[3, 4]]], np.float32)
    ends = [helper.make_tensor_value_info(name, 1, (1, 2)) for name in ("x", "z")]
    model = helper.make_model(helper.make_graph(nodes, "chain", ends[:1], ends[1:]))
    found = run_between(model, {"x": x, "y": y}, ["y", "z"])
    np.testing.assert_array_equal(found["y"], -x)
    np.testing.assert_allclose(found["z"], np.exp(y), rtol=1e-6)  # a rounding or two of float32
    assert run_between(model, {"x": x}, []) == {}


FAULTS = pytest.mark.parametrize(
    "fault", [float_operator, sum_of_integers, dense_layer, float_tail]
)


def test_a_sound_file_passes_with_any_of_its_layers_in_float() -> None:
    for lowering in ("int8_per_fragment", "grouped"):
        plan = Plan({"left": lowering, "right": "int8_grouped", "last": "int8_dense"})
        assert verify(network(), converted(plan=plan)).passed


def test_a_network_whose_outputs_are_integers_passes() -> None:
    torch.manual_seed(0)
    layer = LegoConv2d(16, 16, 3, o=2, m=8, padding=1)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), layer, nn.ReLU(), nn.MaxPool2d(2)).eval()
    assert verify(net, converted(net)).passed


class Sampled(nn.Module):
    """A map read at other places, by an operator that ONNX's reference does not compute."""

    def __init__(self) -> None:
        super().__init__()
        self.body = LegoConv2d(16, 16, 3, o=2, m=8, padding=1)
        self.stem, self.head = nn.Conv2d(3, 16, 3, padding=1), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(self.stem(x).relu())
        places = y[:, :2].tanh().permute(0, 2, 3, 1)
        sampled = nn.functional.grid_sample(y, places, align_corners=False)
        scores: Tensor = self.head(sampled.mean((2, 3)))
        return scores


def mirror_beyond_the_border(graph: ir.Graph) -> None:
    node = _node(graph, "GridSample")
    node.attributes["padding_mode"] = ir.AttrString("padding_mode", "reflection")
    node.attributes["align_corners"] = ir.AttrInt64("align_corners", 1)


def test_an_operator_that_nothing_but_a_runtime_computes_is_held_to_the_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    net = Sampled().eval()
    assert verify(net, converted(net)).passed
    rewire(monkeypatch, KeepFloats, mirror_beyond_the_border)
    with pytest.raises(
        ParityFailed, match=r"follow from the values before it: mean \(ReduceMean\)"
    ):
        converted(net)


@pytest.mark.parametrize(("weight", "bias"), [(1e-6, 5.0), (1e-6, 0.0), (0.0, 0.0), (1.0, 1e6)])
def test_outputs_that_hardly_differ_between_images_pass(weight: float, bias: float) -> None:
    net = nn.Sequential(randomize(Branches()), nn.Linear(5, 1))
    nn.init.constant_(net[1].weight, weight)  # type: ignore[arg-type]
    nn.init.constant_(net[1].bias, bias)  # type: ignore[arg-type]
    assert verify(net.eval(), converted(net.eval())).passed


@FAULTS
def test_an_edge_that_goes_elsewhere_fails_the_conversion(
    monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    rewire(monkeypatch, KeepFloats, fault)
    with pytest.raises(ParityFailed, match="does not follow from the values before it"):
        converted()


@FAULTS
def test_verify_finds_it_where_every_bit_is_as_the_compiler_gives_it(
    monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    rewire(monkeypatch, KeepFloats, fault)
    monkeypatch.setattr(finished, "prove_integers", lambda *_: None)
    found = verify(network(), converted())
    assert found.exact.passed
    assert not found.passed
    assert "does not follow from the values before it" in found.diagnosis[0]


def test_a_lego_layer_that_reads_other_integers_fails_the_conversion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rewire(monkeypatch, QuantizeActivations, lego_layer)
    with pytest.raises(CheckFailed, match=r"(?s)do not stand where.*last.*left/output_quantized"):
        converted()

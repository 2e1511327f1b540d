"""A failed check names the layer, and the pass or the file that is to blame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from legoexport.compile import pipeline
from legoexport.models.checkpoint import Checkpoint
from legoexport.parity.verify import NO_LAYERS_NOTE, Verification, verify
from legoexport.passes import lego_op
from runtime_tests.parity.networks import INPUT_SHAPE, convert, converted, small_net

TABLE_PASSES = ("RecognizeGlobalPool", "FoldBatchNorm", "DropUnusedPairs")
NODE_PASSES = ("LowerLego", "SimplifyGraph")
STAGE = {
    "RecognizeGlobalPool": "recognize_global_pool",
    "FoldBatchNorm": "fold_batch_norm",
    "DropUnusedPairs": "drop_unused_pairs",
    "LowerLego": "lower_lego",
    "SimplifyGraph": "simplify_graph",
}


def examine(net: nn.Module, model: onnx.ModelProto, sha256: str | None = None) -> Verification:
    network = net if sha256 is None else read_from(net, sha256)
    return verify(network, model.SerializeToString())


def read_from(net: nn.Module, sha256: str) -> Checkpoint:
    """A checkpoint as it is read from a file of that digest."""
    return Checkpoint(
        path=Path("c.pt"),
        sha256=sha256,
        container="zip",
        form="legoexport",
        module=net,
        arch="tests:small_net",
        hyperparameters={},
        image_shape=INPUT_SHAPE,
        stored_dtypes=("torch.float32",),
    )


def sabotage(
    monkeypatch: pytest.MonkeyPatch, pass_name: str, harm: Callable[[ir.Model], None]
) -> None:
    """Let a pass of the compiler do something wrong after its work."""
    rewrite = getattr(pipeline, pass_name)
    right = rewrite.call

    def wrong(self: Any, model: ir.Model) -> ir.passes.PassResult:
        result = right(self, model)
        harm(result.model)
        return ir.passes.PassResult(result.model, modified=True)

    monkeypatch.setattr(rewrite, "call", wrong)


def scale_a_table_entry(model: ir.Model) -> None:
    node = next(node for node in lego_op.find(model.graph) if node.layer == "features.6")
    coefficient = node.frozen.coefficient.copy()
    coefficient[1, 4] *= 1.001
    lego_op.write_tables(node, replace(node.frozen, coefficient=coefficient))


def scale_an_initializer(name: str) -> Callable[[ir.Model], None]:
    def harm(model: ir.Model) -> None:
        value = model.graph.initializers[name]
        array = value.const_value.numpy().copy()
        array.flat[0] *= 1.01
        value.const_value = ir.tensor(array, name=name)

    return harm


def change_file(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    tensor = next(t for t in model.graph.initializer if t.name == name)
    array = numpy_helper.to_array(tensor).copy()
    array.flat[0] += 0.1
    tensor.CopyFrom(numpy_helper.from_array(array, name))
    return model


@pytest.mark.parametrize("pass_name", TABLE_PASSES + NODE_PASSES)
def test_a_layer_broken_by_a_pass_is_blamed_on_it(
    monkeypatch: pytest.MonkeyPatch, pass_name: str
) -> None:
    on_nodes = scale_an_initializer("features.6/merge/coefficient")
    sabotage(monkeypatch, pass_name, on_nodes if pass_name in NODE_PASSES else scale_a_table_entry)
    net = small_net()
    verdict = examine(net, convert(net, "grouped").model)
    assert not verdict.passed
    assert "features.6 (lowering grouped)" in verdict.diagnosis[0]
    assert verdict.diagnosis[1:] == (f"introduced by pass {STAGE[pass_name]}",)


@pytest.mark.parametrize("pass_name", ["FoldBatchNorm", "SimplifyGraph"])
def test_an_error_outside_the_lego_layers_is_blamed_on_its_pass(
    monkeypatch: pytest.MonkeyPatch, pass_name: str
) -> None:
    sabotage(monkeypatch, pass_name, scale_an_initializer("classifier.weight"))
    net = small_net()
    verdict = examine(net, convert(net, "grouped").model)
    assert not verdict.agreement.passed
    assert all(layer.passed for layer in verdict.layers)
    assert "outside" in verdict.diagnosis[0]
    assert verdict.diagnosis[1] == f"introduced by pass {STAGE[pass_name]}"


@pytest.mark.parametrize("name", ["features.6/merge/bias", "classifier.weight"])
def test_a_file_changed_after_conversion_is_called_so(name: str) -> None:
    file = converted("grouped")
    verdict = examine(file.net, change_file(file.copy(), name), sha256="0" * 64)
    assert not verdict.passed
    assert "file was changed after conversion" in verdict.diagnosis[-1]
    layer = name.partition("/merge")[0].removesuffix(".weight")
    assert f"tensor {name} [0" in verdict.diagnosis[-2]
    assert f"of layer {layer}: " in verdict.diagnosis[-2]


def test_another_checkpoint_is_the_probable_cause() -> None:
    verdict = examine(small_net(seed=1), converted("grouped").model, sha256="1" * 64)
    assert not verdict.passed
    assert "another checkpoint" in verdict.notes[0]
    assert "another checkpoint" in verdict.diagnosis[-1]
    assert "NOT the masks" in verdict.diagnosis[1]
    assert verdict.to_json()["passed"] is False


def test_the_right_checkpoint_needs_no_words() -> None:
    file = converted("grouped")
    verdict = examine(file.net, file.model, sha256="0" * 64)
    assert verdict.passed
    assert verdict.notes == verdict.diagnosis == ()
    assert [layer.layer for layer in verdict.layers] == ["features.3", "features.6", "features.8"]


def test_a_file_without_metadata_is_judged_as_a_whole() -> None:
    file = converted("grouped")
    model = file.copy()
    del model.metadata_props[:]
    verdict = examine(file.net, model)
    assert verdict.passed
    assert verdict.notes == (NO_LAYERS_NOTE,)
    verdict = examine(file.net, change_file(model, "classifier.weight"))
    assert not verdict.passed


def test_a_plain_export_is_judged_as_a_whole() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 5)).eval()
    file = convert(net, "grouped")
    verdict = examine(net, file.model)
    assert verdict.passed

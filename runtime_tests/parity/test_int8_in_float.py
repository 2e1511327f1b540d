"""A file in int8 rests on a graph that is held to PyTorch too: integers alone prove no export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from legoexport.compile import pipeline
from legoexport.compile.emit import emit
from legoexport.compile.stages import CompileOptions
from legoexport.deliver import proved
from legoexport.deliver.conversion import Conversion
from legoexport.deliver.convert import convert_module
from legoexport.errors import ParityFailed
from legoexport.parity.verify import verify
from legoexport.parity.view import agreement_rows
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from runtime_tests.networks import SmallNet, randomize

EXAMPLE = torch.zeros(1, 3, 8, 8)
IMAGES = np.random.default_rng(0).standard_normal((12, 3, 8, 8)).astype(np.float32)
Fault = Callable[[ir.Graph], None]


def another_operator(graph: ir.Graph) -> None:
    (node,) = (node for node in graph if node.op_type == "Softplus")
    node.op_type = "Relu"


def another_weight(graph: ir.Graph) -> None:
    node = next(node for node in graph if node.op_type == "Conv")
    weight = node.inputs[1]
    assert weight is not None
    assert weight.const_value is not None
    weight.const_value = ir.tensor(-weight.const_value.numpy(), name=weight.name)


FAULTS = pytest.mark.parametrize("fault", [another_operator, another_weight])


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(randomize(SmallNet()), nn.Softplus())


def converted() -> Conversion:
    calibrate = CalibrationOptions(CalibrationImages.of(IMAGES))
    return convert_module(network(), EXAMPLE, CompileOptions(precision="int8"), calibrate=calibrate)


def export_wrongly(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    def wrong(*args: Any, **settings: Any) -> ir.Model:
        model = emit(*args, **settings)
        fault(model.graph)
        return model

    monkeypatch.setattr(pipeline, "emit", wrong)


def test_a_sound_file_says_how_close_its_network_is_in_float() -> None:
    conversion = converted()
    assert conversion.float_agreement is not None
    assert conversion.float_agreement.passed
    assert np.isfinite(conversion.float_agreement.limit)
    found = verify(network(), conversion.model_bytes, data=IMAGES)
    assert found.passed
    assert list(found.float_agreements) == list(found.agreements)
    assert found.to_json()["float_parity"]["passed"]
    rows = agreement_rows(found.all_agreements)
    verdicts = {str(name): verdict for name, *_, verdict in rows}
    for name in found.agreements:
        assert verdicts[name] == "measured"
        assert verdicts[f"in float, {name}"] == "ok"


@FAULTS
def test_a_network_that_was_exported_wrongly_is_not_converted(
    monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    export_wrongly(monkeypatch, fault)
    with pytest.raises(ParityFailed, match="still in float, does not compute what PyTorch"):
        converted()


@FAULTS
def test_verify_finds_it_where_every_integer_and_every_bit_is_as_expected(
    monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    export_wrongly(monkeypatch, fault)
    monkeypatch.setattr(proved, "prove_in_float", lambda *_: None)
    found = verify(network(), converted().model_bytes)
    assert found.exact.passed
    assert all(layer.passed for layer in found.layers)
    assert not found.passed
    assert found.diagnosis[0].startswith("wrong before anything is an integer: PARITY NOT REACHED")

"""Layers of a file in int8 that the plan keeps in float: they are computed so, and no other is."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir
import pytest

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.errors import InvariantBroken
from legoexport.parity.verify import verify
from legoexport.passes.keep_floats import KeepFloats
from legoexport.target import CPU
from runtime_tests.compile.test_int8 import CALIBRATE, EXAMPLE, converted, trained


def test_the_plan_may_keep_layers_in_float() -> None:
    plan = replace(
        converted().compiled.plan,
        lowerings={**converted().compiled.plan.lowerings, "second": "grouped"},
    )
    options = CompileOptions(CPU, precision="int8", plan=plan)
    found = convert_module(trained(), EXAMPLE, options, calibrate=CALIBRATE)
    assert found.computes is not None
    assert {name.split("/")[0] for name in found.computes.floats} == {"second"}
    assert verify(trained(), found.model_bytes).passed


@pytest.mark.parametrize("lowering", ["dense", "grouped_dense_merge"])
def test_the_runtime_leaves_a_convolution_in_float_that_stands_between_integers(
    lowering: str,
) -> None:
    plan = converted().compiled.plan
    plan = replace(plan, lowerings={**plan.lowerings, "second": lowering})
    options = CompileOptions(CPU, precision="int8", plan=plan)
    found = convert_module(trained(), EXAMPLE, options, calibrate=CALIBRATE)
    assert found.computes is not None
    assert {name.split("/")[0] for name in found.computes.floats} == {"second"}
    assert verify(trained(), found.model_bytes).passed


def test_integers_that_the_plan_does_not_call_so_fail_the_conversion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(KeepFloats, "call", lambda _, model: ir.passes.PassResult(model, False))
    plan = converted().compiled.plan
    plan = replace(plan, lowerings={**plan.lowerings, "second": "dense"})
    options = CompileOptions(CPU, precision="int8", plan=plan)
    with pytest.raises(InvariantBroken, match="in integers what the plan calls float"):
        convert_module(trained(), EXAMPLE, options, calibrate=CALIBRATE)

"""The verdict on a file in int8 rests on all that computes in it, not on its Lego layers alone."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.errors import CheckFailed, ParityFailed, UsageError
from legoexport.parity.integer.check import IntegerAgreement
from legoexport.parity.integer.verdict import layer_agreement
from legoexport.parity.judge import measure_freely
from legoexport.parity.verify import verify
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from runtime_tests.networks import SmallNet, randomize

EXAMPLE = torch.zeros(1, 3, 8, 8)
IMAGES = np.random.default_rng(0).standard_normal((12, 3, 8, 8)).astype(np.float32)
LEGO_LAYERS = ["first", "second", "third"]
RIGHT = IntegerAgreement(
    layer="layer",
    lowering="int8_grouped",
    images_count=1,
    values_count=9,
    ties_count=2,
    wrong_count=0,
    largest_step_difference=2,
    first_wrong_channel=None,
    largest_excess_steps=0,
)


def trained() -> nn.Module:
    torch.manual_seed(0)
    return randomize(SmallNet())


@cache
def file_bytes() -> bytes:
    calibrate = CalibrationOptions(CalibrationImages.of(IMAGES))
    options = CompileOptions(precision="int8")
    return convert_module(trained(), EXAMPLE, options, calibrate=calibrate).model_bytes


def test_a_sound_file_has_a_row_for_each_lego_layer() -> None:
    found = verify(trained(), file_bytes())
    assert found.passed
    assert [one.layer for one in found.layers] == LEGO_LAYERS


def with_metadata(key: str, value: str) -> bytes:
    """The file with another entry in its metadata."""
    model = onnx.load_from_string(file_bytes())
    next(one for one in model.metadata_props if one.key == f"legoexport.{key}").value = value
    return model.SerializeToString()


def test_a_file_of_other_versions_is_proved_integer_by_integer() -> None:
    found = verify(trained(), with_metadata("versions", json.dumps({"onnxsim": "0.1"})))
    assert found.passed
    assert [one.layer for one in found.layers] == LEGO_LAYERS
    assert found.exact is not None
    assert "onnxsim 0.1" in str(found.exact.reason)


@pytest.mark.parametrize("key", ["target", "plan"])
def test_a_file_that_cannot_be_compiled_again_is_refused(key: str) -> None:
    with pytest.raises(ParityFailed, match=f"(?s)cannot be proved.*legoexport.{key}"):
        verify(trained(), with_metadata(key, "{}"))


def test_a_wrong_code_of_a_dense_layer_is_named_beside_the_tensor() -> None:
    model = onnx.load_from_string(file_bytes())
    tensor = next(one for one in model.graph.initializer if one.name.startswith("stem.weight_c"))
    codes = numpy_helper.to_array(tensor).copy()
    codes[3] = -codes[3]
    tensor.CopyFrom(numpy_helper.from_array(codes, tensor.name))
    found = verify(trained(), model.SerializeToString())
    assert not found.passed
    *lego, dense = found.layers
    assert [one.layer for one in lego if one.passed] == LEGO_LAYERS
    assert (dense.lowering, dense.worst_channel, dense.passed) == ("Conv", 3, False)
    assert "first at fault" in found.diagnosis[0]
    assert any(tensor.name in line for line in found.diagnosis[1:])


def test_a_right_integer_is_within_the_limit_however_many_ties_moved_it() -> None:
    assert layer_agreement(RIGHT).passed
    assert not layer_agreement(replace(RIGHT, wrong_count=1, first_wrong_channel=4)).passed


def test_outputs_that_no_limit_binds_are_numbers_all_the_same() -> None:
    truth = np.zeros((2, 3))
    with pytest.raises(CheckFailed, match="NaN or infinite"):
        measure_freely(truth, np.full((2, 3), np.nan, np.float32))
    with pytest.raises(UsageError, match="another shape"):
        measure_freely(truth, np.zeros((2, 4), np.float32))

"""A file in int8 that reads three channels as four counts as many weights as the network has."""

from __future__ import annotations

import numpy as np
import onnx
import torch

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import convert_module
from legoexport.inspect.inventory_onnx import summarize_model
from legoexport.inspect.own_counts import own_counts
from legoexport.lego.scales import Precision
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from runtime_tests.networks import small_net

IMAGES = np.random.default_rng(0).standard_normal((8, 3, 8, 8)).astype(np.float32)


def converted(precision: Precision) -> onnx.ModelProto:
    calibrate = CalibrationOptions(CalibrationImages.of(IMAGES)) if precision == "int8" else None
    options = CompileOptions(precision=precision)
    example = torch.zeros(1, 3, 8, 8)
    found = convert_module(small_net(), example, options, calibrate=calibrate)
    return onnx.load_from_string(found.model_bytes)


def test_channels_of_zeros_are_no_weights_of_the_network() -> None:
    model = converted("int8")
    assert "Pad" in {node.op_type for node in model.graph.node}
    assert summarize_model(model).dense_part == summarize_model(converted("fp32")).dense_part


def test_a_file_that_another_tool_has_changed_is_counted_as_it_is() -> None:
    model = converted("int8")
    pad = next(node for node in model.graph.node if node.op_type == "Pad")
    stored = next(one for one in model.graph.initializer if one.name == "stem.weight_codes")
    assert own_counts(model.graph)[stored.name] == 16 * 3 * 3 * 3
    pad.input[1] = "elsewhere"
    assert own_counts(model.graph)[stored.name] == 16 * 4 * 3 * 3

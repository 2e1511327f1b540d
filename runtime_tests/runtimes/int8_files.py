"""A small file in int8 for each target that has kernels, and a fault to plant in it."""

from __future__ import annotations

from functools import cache

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import Conversion, convert_module
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from legoexport.target import TARGETS
from runtime_tests.networks import SmallNet, randomize

BATCH = 2
IMAGES = np.random.default_rng(0).standard_normal((12, 3, 8, 8)).astype(np.float32)
LEGO_LAYERS = ("first", "second", "third")


def trained() -> nn.Module:
    """The same network each time."""
    torch.manual_seed(0)
    return randomize(SmallNet())


@cache
def converted(target: str) -> Conversion:
    """Its file for a target, with a fixed batch, as XNNPACK needs it."""
    options = CompileOptions(TARGETS[target], precision="int8", dynamic_batch=False)
    calibrate = CalibrationOptions(CalibrationImages.of(IMAGES))
    return convert_module(trained(), torch.zeros(BATCH, 3, 8, 8), options, calibrate=calibrate)


def changed(model_bytes: bytes, start: str, ending: str) -> bytes:
    """Change the first integer of the first initializer whose name starts and ends so."""
    model = onnx.load_from_string(model_bytes)
    tensor = next(
        one
        for one in model.graph.initializer
        if one.name.startswith(start) and one.name.endswith(ending)
    )
    array = numpy_helper.to_array(tensor).copy()
    array.flat[0] = -array.flat[0] or 1
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model.SerializeToString()

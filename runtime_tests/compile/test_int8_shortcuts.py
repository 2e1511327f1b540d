"""Residual networks in int8: shortcuts and their sums compute in integers too."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from legoexport.compile.stages import CompileOptions
from legoexport.deliver.convert import Conversion, convert_module
from legoexport.models import resnet20
from legoexport.models.registry import build
from legoexport.parity.verify import verify
from legoexport.quantize.images import CalibrationImages
from legoexport.quantize.settle import CalibrationOptions
from legoexport.target import CPU
from runtime_tests.networks import randomize

EXAMPLE = torch.zeros(1, 3, 8, 8)
IMAGES = np.random.default_rng(0).standard_normal((12, 3, 8, 8)).astype(np.float32)
SMALLEST = {"o": 8, "m_ratio": 0.125, "width": 0.35}


def small_resnet() -> torch.nn.Module:
    torch.manual_seed(0)
    return randomize(build("lego_resnet20", **SMALLEST))


def in_integers(network: torch.nn.Module) -> Conversion:
    options = CompileOptions(CPU, precision="int8")
    calibrate = CalibrationOptions(CalibrationImages.of(IMAGES))
    return convert_module(network, EXAMPLE, options, calibrate=calibrate)


def kernels(model_bytes: bytes, folder: Path) -> Counter[str]:
    """Count what ONNX Runtime made of a file."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(model_bytes, options, providers=["CPUExecutionProvider"])
    graph = onnx.load(options.optimized_model_filepath).graph
    return Counter(node.op_type for node in graph.node)


def check(conversion: Conversion, folder: Path, blocks_count: int) -> None:
    assert conversion.computes is not None
    assert conversion.computes.floats == ()
    assert conversion.integers is not None
    assert all(one.passed for one in conversion.integers.layers)
    found = kernels(conversion.model_bytes, folder)
    assert found["QLinearAdd"] == blocks_count, "a sum for every block"
    assert not set(found) & {"Add", "Conv", "Gemm", "MatMul", "Relu"}


def test_one_block_a_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resnet20, "BLOCKS_COUNT", 1)
    check(in_integers(small_resnet()), tmp_path, blocks_count=3)


@pytest.mark.heavy
def test_the_whole_network_is_rebuilt_to_the_bit(tmp_path: Path) -> None:
    network = small_resnet()
    conversion = in_integers(network)
    check(conversion, tmp_path, blocks_count=9)
    found = verify(network, conversion.model_bytes)
    assert found.passed
    assert found.exact.differences == ()

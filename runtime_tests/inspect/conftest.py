"""The network of these tests, and the file it becomes."""

from __future__ import annotations

import onnx
import pytest
import torch

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import compile_network
from legoexport.compile.stages import CompileOptions
from legoexport.compile.stamp import stamp
from runtime_tests.inspect.network import INPUT_SHAPE, Network


@pytest.fixture(scope="session")
def network() -> Network:
    torch.manual_seed(0)
    return Network()


@pytest.fixture(scope="session")
def model(network: Network) -> onnx.ModelProto:
    example = torch.zeros(1, *INPUT_SHAPE)
    compiled = compile_network(freeze(network, example), example, CompileOptions())
    return stamp(compiled, checkpoint_sha256=None, target="cpu", relative_error=0.0)

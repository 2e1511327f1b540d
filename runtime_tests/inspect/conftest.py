"""The network of these tests, and the file it becomes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import onnx
import pytest
import torch

from legoexport.freeze import freeze
from legoexport.parity.agreement import Agreement
from legoexport.pipeline import compile_network
from legoexport.provenance import stamp
from legoexport.stages import CompileOptions
from runtime_tests.inspect.network import INPUT_SHAPE, Network


@pytest.fixture(scope="session")
def network() -> Network:
    torch.manual_seed(0)
    return Network()


@pytest.fixture(scope="session")
def model(network: Network) -> onnx.ModelProto:
    example = torch.zeros(1, *INPUT_SHAPE)
    compiled = compile_network(freeze(network, example), example, CompileOptions())
    agreement = cast("Agreement", SimpleNamespace(relative_error=0.0))
    return stamp(compiled, checkpoint_sha256=None, target="cpu", agreement=agreement)

"""Small Lego networks, and the files they convert to, for the parity tests."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import onnx
import torch
from torch import Tensor, nn

from legoexport.compile.freeze import FrozenNetwork, freeze
from legoexport.compile.pipeline import compile_network
from legoexport.compile.stages import Compiled, CompileOptions
from legoexport.compile.stamp import stamp
from legoexport.models.lego_conv import LegoConv2d
from legoexport.passes.lowerings import LOWERINGS
from legoexport.target import CPU

INPUT_SHAPE = (3, 12, 12)
LAYER_NAMES = ("features.3", "features.6", "features.8")
CLASSES_COUNT = 5


class SmallNet(nn.Module):
    """A dense stem, three Lego layers (two with batch norm, one strided), a dense classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            LegoConv2d(8, 12, 3, o=2, m=5, padding=1, bias=False),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            LegoConv2d(12, 16, 3, o=4, m=6, stride=2, padding=1),
            nn.ReLU(),
            LegoConv2d(16, 10, 1, o=2, m=4, bias=False),
            nn.BatchNorm2d(10),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(10, CLASSES_COUNT)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).mean(dim=(2, 3)))


def small_net(seed: int = 0) -> SmallNet:
    """A network whose weights and statistics are all away from their defaults."""
    generator = torch.Generator().manual_seed(seed)
    net = SmallNet()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        for norm in (module for module in net.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.running_mean.copy_(torch.randn(norm.num_features, generator=generator))
            norm.running_var.copy_(0.5 + torch.rand(norm.num_features, generator=generator))
            norm.weight.copy_(0.5 + torch.rand(norm.num_features, generator=generator))
    return net.eval()


@dataclass(frozen=True)
class Converted:
    """A network and the file that comes of it."""

    net: nn.Module
    network: FrozenNetwork
    compiled: Compiled
    model: onnx.ModelProto

    def copy(self) -> onnx.ModelProto:
        """A copy of the file to do harm to."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        return model


def convert(net: nn.Module, lowering: str, *, batch: int | None = None) -> Converted:
    """Freeze, compile and stamp ``net`` with one lowering for all layers that it serves."""
    example = torch.zeros(batch or 1, *INPUT_SHAPE)
    network = freeze(net, example)
    target = replace(CPU, lowerings=(lowering, "grouped"), rest="refused")
    options = CompileOptions(target, dynamic_batch=batch is None)
    compiled = compile_network(network, example, options)
    model = stamp(compiled, checkpoint_sha256="0" * 64, target="cpu", relative_error=0.0)
    return Converted(net, network, compiled, model)


@lru_cache
def converted(lowering: str = "grouped") -> Converted:
    """``small_net()`` converted with ``lowering``; shared by the tests, so copy before changing."""
    assert lowering in LOWERINGS
    return convert(small_net(), lowering)

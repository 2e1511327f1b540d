"""Prepared networks and images for tests of calibration."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from legoexport.compile.freeze import freeze
from legoexport.compile.pipeline import prepare
from legoexport.compile.stages import CompileOptions, Prepared
from legoexport.models.lego_conv import LegoConv2d
from runtime_tests.networks import randomize, small_net

IMAGE_SHAPE = (3, 10, 10)
OPEN = CompileOptions(dynamic_batch=True)


@dataclass(frozen=True)
class Images:
    """Images in memory."""

    array: NDArray[np.float32]

    @property
    def count(self) -> int:
        return len(self.array)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.array.tobytes()).hexdigest()

    def batches(self, size: int) -> Iterator[NDArray[np.float32]]:
        for start in range(0, self.count, size):
            yield self.array[start : start + size]


class OutputsOfLego(nn.Module):
    """Both outputs leave Lego layers; the first of them is read again; the second has one part."""

    def __init__(self) -> None:
        super().__init__()
        self.first = LegoConv2d(3, 8, 3, o=3, m=5, padding=1)
        self.second = LegoConv2d(8, 6, 3, o=1, m=4, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.first(x)
        return y, self.second(y)


class CalledThrice(nn.Module):
    """One layer, and so one bank, behind itself at once, and again behind a quotient."""

    def __init__(self) -> None:
        super().__init__()
        self.body = LegoConv2d(3, 3, 3, o=3, m=4, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(self.body(x))
        return self.body(y / 2) + y


NETWORKS = {
    "small": small_net,
    "outputs of Lego layers": lambda: randomize(OutputsOfLego()),
    "called thrice": lambda: randomize(CalledThrice()),
}


def images(count: int, seed: int = 0) -> NDArray[np.float32]:
    shape = (count, *IMAGE_SHAPE)
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def prepared_network(
    network: nn.Module, options: CompileOptions = OPEN, batch_size: int = 1
) -> Prepared:
    example = torch.zeros(batch_size, *IMAGE_SHAPE)
    return prepare(freeze(network, example), example, options)

"""The reference: a network as PyTorch computes it, in float64 for the truth and in float32."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from legoexport.models.outputs import output_tensors
from legoexport.models.plain_copy import plain_copy
from legoexport.models.run import run_network

# Images per run: intermediate maps of a whole data set would not fit into memory.
BATCH_SIZE = 8


@dataclass(frozen=True)
class ReferenceOutput:
    """One output of PyTorch.

    Attributes:
        float64: ``(N, ...)``, the truth: float64, or integers or booleans that follow from it.
        float32: The same in the precision of the model.
    """

    float64: NDArray[Any]
    float32: NDArray[Any]

    @property
    def is_exact(self) -> bool:
        """Whether it consists of integers or booleans."""
        return self.float64.dtype.kind != "f"


@dataclass(frozen=True)
class Reference:
    """What PyTorch gives for a set of inputs.

    Attributes:
        outputs: In the order of the network.
    """

    outputs: tuple[ReferenceOutput, ...]


class ReferenceNetwork:
    """A network in eval mode on the CPU, in both precisions; the original stays as it is."""

    def __init__(self, module: nn.Module) -> None:
        self._float32 = plain_copy(module)
        self._float64 = copy.deepcopy(self._float32).double()

    def run(self, *arrays: NDArray[Any]) -> Reference:
        """Run inputs ``(N, ...)``, one for each argument of the network, through both.

        Raises:
            UsageError: The network does not take such inputs, or gives what no ONNX file can.
        """
        wide = [one.astype(np.float64) if one.dtype.kind == "f" else one for one in arrays]
        float64 = _run(self._float64, wide, torch.float64)
        float32 = _run(self._float32, arrays, torch.float32)
        return Reference(tuple(map(ReferenceOutput, float64, float32)))


def _run(
    module: nn.Module, arrays: Sequence[NDArray[Any]], dtype: torch.dtype
) -> list[NDArray[Any]]:
    runs = []
    for start in range(0, len(arrays[0]), BATCH_SIZE):
        batch = [torch.from_numpy(one[start : start + BATCH_SIZE]) for one in arrays]
        outputs = output_tensors(run_network(module, batch, dtype), len(batch[0]))
        runs.append([one.numpy() for one in outputs])
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]

"""The reference: a network as PyTorch computes it, in float64 for the truth and in float32."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from legoexport.errors import UsageError
from legoexport.models.plain_copy import plain_copy
from legoexport.models.run import run_network

# Images per run: intermediate maps of a whole data set would not fit into memory.
BATCH_SIZE = 8


@dataclass(frozen=True)
class Reference:
    """Outputs of PyTorch.

    Attributes:
        float64: ``(N, ...)``, the truth.
        float32: The same in the precision of the model.
    """

    float64: NDArray[np.float64]
    float32: NDArray[np.float32]


class ReferenceNetwork:
    """A network in eval mode on the CPU, in both precisions; the original stays as it is.

    Args:
        module: A network that maps one tensor to one tensor.
    """

    def __init__(self, module: nn.Module) -> None:
        self._float32 = plain_copy(module)
        self._float64 = copy.deepcopy(self._float32).double()

    def run(self, images: NDArray[np.float32]) -> Reference:
        """Run ``images`` of shape ``(N, c, h, w)`` through both.

        Raises:
            UsageError: The network does not take images of this shape, or gives no single tensor.
        """
        return Reference(
            _run(self._float64, images.astype(np.float64), torch.float64),
            _run(self._float32, images, torch.float32),
        )


def _run(module: nn.Module, images: NDArray[Any], dtype: torch.dtype) -> NDArray[Any]:
    outputs = []
    for start in range(0, len(images), BATCH_SIZE):
        batch = torch.from_numpy(images[start : start + BATCH_SIZE])
        output = run_network(module, [batch], dtype)
        if not isinstance(output, Tensor):
            raise UsageError("a network must give one tensor back", received=type(output).__name__)
        outputs.append(output.numpy())
    return np.concatenate(outputs)

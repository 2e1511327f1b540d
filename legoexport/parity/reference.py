"""The reference: a network as PyTorch computes it, in float64 for the truth and in float32.

In float32, long sums are added in order, as runtimes add them: see ``models/sum_in_order``.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from legoexport.lego.normalization import Normalization
from legoexport.lego.output_form import top_count
from legoexport.lego.resampling import Resize
from legoexport.models.network_ends import with_ends
from legoexport.models.outputs import output_tensors
from legoexport.models.plain_copy import plain_copy
from legoexport.models.run import run_network
from legoexport.models.sum_in_order import summing_in_order
from legoexport.parity.rankings import largest
from legoexport.training.data.decode import fitted

# Images per run: intermediate maps of a whole data set would not fit into memory.
BATCH_SIZE = 8


@dataclass(frozen=True)
class ReferenceOutput:
    """One output of PyTorch.

    Attributes:
        float64: ``(N, ...)``, the truth: float64, or integers or booleans that follow from it.
        float32: The same in the precision of the model, its long sums added in order.
        whole: All the scores ``(N, classes)`` that these are the largest of, or the places of;
            None where nothing was left out.
    """

    float64: NDArray[Any]
    float32: NDArray[Any]
    whole: ReferenceOutput | None = None

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
    """A network in eval mode on the CPU, in both precisions; the original stays as it is.

    Args:
        module: The network, in any mode.
        top_count: How many of the largest scores to give, and their places; None to give all that
            the network gives.
        resize: How Pillow scales pixels before the network sees them; None if they have its size.
    """

    def __init__(
        self, module: nn.Module, top_count: int | None = None, resize: Resize | None = None
    ) -> None:
        self._top_count = top_count
        self._resize = resize
        self._float32 = plain_copy(module)
        self._float64 = copy.deepcopy(self._float32).double()

    def run(self, *arrays: NDArray[Any]) -> Reference:
        """Run inputs ``(N, ...)``, one for each argument of the network, through both.

        Raises:
            UsageError: The network does not take such inputs, or gives what no ONNX file can.
        """
        if self._resize is not None:
            arrays = tuple(fitted(one, self._resize.size) for one in arrays)
        wide = [one.astype(np.float64) if one.dtype.kind == "f" else one for one in arrays]
        float64 = _run(self._float64, wide, torch.float64)
        with summing_in_order():
            float32 = _run(self._float32, arrays, torch.float32)
        outputs = tuple(map(ReferenceOutput, float64, float32))
        if self._top_count is None:
            return Reference(outputs)
        (whole,) = outputs
        return Reference(_largest(whole, self._top_count))


def reference_of(
    module: nn.Module, pixels: Normalization | None, output: str, resize: Resize | None = None
) -> ReferenceNetwork:
    """Return what a file is held to, with what it has at its ends.

    Args:
        module: The network, in any mode.
        pixels: How the file normalises the pixels that it takes; None if it takes tensors.
        output: What the file gives, as ``output_form`` has it.
        resize: How the file scales the pixels first; None if it does not.
    """
    return ReferenceNetwork(with_ends(module, pixels, output), top_count(output), resize)


def _largest(whole: ReferenceOutput, count: int) -> tuple[ReferenceOutput, ReferenceOutput]:
    float64, float32 = (largest(one, count) for one in (whole.float64, whole.float32))
    values, places = zip(float64, float32, strict=True)
    return ReferenceOutput(*values, whole), ReferenceOutput(*places, whole)


def _run(
    module: nn.Module, arrays: Sequence[NDArray[Any]], dtype: torch.dtype
) -> list[NDArray[Any]]:
    runs = []
    for start in range(0, len(arrays[0]), BATCH_SIZE):
        batch = [torch.from_numpy(one[start : start + BATCH_SIZE]) for one in arrays]
        outputs = output_tensors(run_network(module, batch, dtype), len(batch[0]))
        runs.append([one.numpy() for one in outputs])
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]

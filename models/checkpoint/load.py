"""Weights into a network: every name, shape, type and value is checked on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn

from legoexport.errors import CheckpointError
from legoexport.models.checkpoint.damage import MalformedFileError
from legoexport.models.checkpoint.tensors import StoredTensor

_FLOATING = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
_INTEGER = frozenset({torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64})
_LISTED_COUNT = 5
_MOST_SHARING = 4  # weights that are tied
_COUNTER = ".num_batches_tracked"


def check_fit(network: nn.Module, tensors: Mapping[str, StoredTensor]) -> None:
    """Hold a file's tensors against what a network needs, before any of them is read.

    Args:
        network: The network, on any device, "meta" included.
        tensors: Weights by dotted name.

    Raises:
        CheckpointError: A tensor is missing, too many, or of another shape or kind of number.
    """
    wanted = network.state_dict()
    _check_names(wanted.keys() - tensors.keys(), "lacks weights that the network has")
    _check_names(tensors.keys() - wanted.keys(), "has weights that the network lacks")
    for name, tensor in wanted.items():
        if tensors[name].shape != tuple(tensor.shape):
            raise CheckpointError(
                f"{name} has the wrong shape",
                received=tensors[name].shape,
                legal=tuple(tensor.shape),
                next_step="check the hyperparameters of the network, or name another one",
            )
        legal = _FLOATING if tensor.is_floating_point() else _INTEGER
        if tensors[name].dtype not in legal:
            raise CheckpointError(
                f"{name} holds the wrong kind of number",
                received=tensors[name].dtype,
                legal=", ".join(sorted(map(str, legal))),
            )


def check_total(tensors: Mapping[str, StoredTensor], file_size_bytes: int) -> None:
    """Refuse a file whose tensors show the same few numbers again and again.

    Args:
        tensors: Weights by dotted name.
        file_size_bytes: Length of the file.

    Raises:
        MalformedFileError: They hold several times the bytes of the file.
    """
    total_bytes = sum(math.prod(each.shape) * each.dtype.itemsize for each in tensors.values())
    if total_bytes > _MOST_SHARING * file_size_bytes:
        raise MalformedFileError(
            f"tensors of {total_bytes} bytes in a file of {file_size_bytes}, all over each other"
        )


def absent_counters(
    wanted: Mapping[str, torch.Tensor], tensors: Mapping[str, StoredTensor]
) -> dict[str, StoredTensor]:
    """Return zeros for counters of batches that torch before 0.4.1 did not save.

    They count batches seen in training, and no result depends on them.

    Args:
        wanted: The network's state_dict.
        tensors: Weights by dotted name.
    """
    return {
        name: StoredTensor(tensor.dtype, (), lambda dtype: torch.zeros((), dtype=dtype))
        for name, tensor in wanted.items()
        if name.endswith(_COUNTER) and name not in tensors and tensor.shape == ()
    }


def _check_names(names: set[str], problem: str) -> None:
    if names:
        more = ", ..." if len(names) > _LISTED_COUNT else ""
        raise CheckpointError(
            f"the file {problem}: {len(names)} of them",
            received=", ".join(sorted(names)[:_LISTED_COUNT]) + more,
            next_step="it is incomplete, or belongs to another network: see --arch and --model",
        )


def _is_finite(tensor: torch.Tensor) -> bool:
    """Whether no value is NaN or infinite, found without a second tensor of that size."""
    extremes = tensor.aminmax() if tensor.is_floating_point() and tensor.numel() else ()
    return all(math.isfinite(value) for value in extremes)


def load(network: nn.Module, tensors: Mapping[str, StoredTensor]) -> None:
    """Put checked weights into a network, as float32, and set it to eval mode.

    Args:
        network: The network; parameters and buffers may be on the "meta" device.
        tensors: Weights by dotted name, see `check_fit`.

    Raises:
        CheckpointError: A weight is NaN or infinite, as float32 at the latest.
    """
    state = {}
    for name, wanted in network.state_dict().items():
        dtype = torch.float32 if wanted.is_floating_point() else wanted.dtype
        state[name] = tensors[name].read(dtype)
        if not _is_finite(state[name]):
            raise CheckpointError(
                f"{name} holds NaN or infinite values",
                received=f"{int((~torch.isfinite(state[name])).sum())} of {state[name].numel()}",
                legal="finite float32 values",
                next_step="take a checkpoint from before the training diverged",
            )
    network.load_state_dict(state, strict=True, assign=True)
    network.eval()

"""A small network, for forms that have nothing to do with which network it is."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from legoexport.models.checkpoint import Checkpoint, read_checkpoint
from legoexport.models.registry import build

DIGITS = {"o": 2, "m_ratio": 0.5}
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def digits(seed: int = 0) -> nn.Module:
    """The network, freshly initialised."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build("lego_digits", **DIGITS)


def read(path: Path, **named: object) -> Checkpoint:
    """Read a checkpoint that does not say that it is of that network."""
    return read_checkpoint(path, arch="lego_digits", hyperparameters=DIGITS, **named)  # type: ignore[arg-type]


def holds(checkpoint: Checkpoint, state: Mapping[str, Tensor]) -> bool:
    """Whether the network that was read has these weights, as float32."""
    ours = checkpoint.module.state_dict()
    return ours.keys() == state.keys() and all(
        torch.equal(ours[name], each.float() if each.is_floating_point() else each)
        for name, each in state.items()
    )

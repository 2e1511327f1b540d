"""Weights to start from, such as a fit to a dense network (``legoexport fit``)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from legoexport.errors import UsageError
from legoexport.models.checkpoint import Checkpoint, read_checkpoint
from legoexport.models.registry import complete, find_architecture
from legoexport.training.request import TrainingRequest


@dataclass(frozen=True)
class Start:
    """Where a training begins.

    Attributes:
        checkpoint: The weights; None draws them at random.
    """

    checkpoint: Checkpoint | None = None

    @property
    def sha256(self) -> str | None:
        """Digest of the file, part of what a training is."""
        return self.checkpoint.sha256 if self.checkpoint else None

    def load(self, module: nn.Module) -> None:
        """Give ``module`` the weights, on its own device."""
        if self.checkpoint:
            module.load_state_dict(self.checkpoint.module.state_dict())


def find_start(request: TrainingRequest) -> tuple[Start, TrainingRequest]:
    """Read the checkpoint to start from, if there is one.

    Returns:
        The start, and the request with the checkpoint's hyperparameters if it gave none.

    Raises:
        CheckpointError: The file cannot be read.
        UsageError: It holds another network than the one to train.
    """
    if request.start is None:
        return Start(), request
    is_dense = not find_architecture(request.arch).is_lego
    found = read_checkpoint(request.start, dense=is_dense)
    wanted = {**found.hyperparameters, **request.hyperparameters}
    if (found.arch, complete(found.arch, found.hyperparameters)) != (
        request.arch,
        complete(request.arch, wanted),
    ):
        raise UsageError(
            f"{request.start} holds another network than the one to train",
            received=f"{found.arch} {dict(found.hyperparameters)}",
            legal=f"{request.arch} {wanted}",
            next_step="leave --set out: the checkpoint says how its network is built",
        )
    return Start(found), replace(request, hyperparameters=wanted)

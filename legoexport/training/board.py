"""TensorBoard's log, if TensorBoard is installed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from legoexport.errors import UsageError
from legoexport.training.results import EpochResult


class Board:
    """Writes every number of an epoch's result as a curve.

    Args:
        folder: Where to write; None writes nothing.

    Raises:
        UsageError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path | None) -> None:
        self._writer: Any = None
        if folder is not None:
            self._writer = _open(folder)

    def write(self, result: EpochResult) -> None:
        """Add a point to each curve."""
        if self._writer is None:
            return
        for name, value in asdict(result).items():
            if name != "epoch":
                self._writer.add_scalar(name, value, result.epoch)
        self._writer.flush()


def _open(folder: Path) -> object:
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - where installed
    except ImportError:
        raise UsageError(
            "--tensorboard needs TensorBoard", next_step="pip install tensorboard"
        ) from None
    return SummaryWriter(str(folder))

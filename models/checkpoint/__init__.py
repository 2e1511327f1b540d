"""Checkpoints, read and never executed; ``read.py`` is where the road starts."""

from legoexport.models.checkpoint.read import Checkpoint, read_checkpoint
from legoexport.models.checkpoint.write import write_checkpoint

__all__ = ["Checkpoint", "read_checkpoint", "write_checkpoint"]
